"""What a round asks of its word count, beside harms: a pilot, checks, retries, reuse, a reader of the stream.

The one who retries kills the job at some moment, whatever is away just then, and goes on with what is done. A
job that died of a harm goes on so, too.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from disco_rq import Disco, DiscoError, Job, JobError, UnknownJob

PATIENCE_S = 60.0
"""For how long something is tried again that harms prevent."""
PAUSE_S = 0.05
OPTIONS = ("pilot", "check", "retry", "reuse", "stream")


@dataclass(frozen=True)
class Life:
    """What is asked of the job."""

    options: frozenset[str] = frozenset()
    retries: tuple[tuple[float, bool], ...] = ()
    """Seconds until the job is killed, if it is not dead before; and whether it is purged at once."""

    @classmethod
    def of(cls, chance: random.Random, *, always: bool = False) -> Self:
        """Half of the rounds have something of it, or ``always`` all."""
        options = frozenset(option for option in OPTIONS if chance.random() < 0.5)
        retries = tuple(
            (chance.uniform(0.2, 3.0), chance.random() < 0.3) for _ in range(chance.randint(1, 3))
        )
        if "retry" in options:
            options -= {"stream"}  # a reader is of one job
        if not always and chance.random() < 0.5:
            return cls()
        return cls(options or frozenset({"check"}), retries if "retry" in options else ())

    def arguments(self) -> dict[str, Any]:
        """Of ``new_job``."""
        found: dict[str, Any] = {"pilot": 0.2} if "pilot" in self.options else {}
        found |= {"check": 0.2} if "check" in self.options else {}
        return found | ({"reuse": True} if "reuse" in self.options else {})

    def __str__(self) -> str:
        retries = ", ".join(f"{at:.1f} s{' and a purge' if purges else ''}" for at, purges in self.retries)
        told = ", ".join(sorted(self.options - {"retry"}))
        return "; ".join(filter(None, [told, retries and f"retried after {retries}"])) or "a plain life"


class Company(threading.Thread):
    """Who goes on with a job after its pilot, and after its death, beside the one who does the harms."""

    def __init__(self, disco: Disco, life: Life, jobs: list[Job]) -> None:
        """``jobs``: the last one is meant. Those that go on with it are put there, as ones of ``disco``."""
        super().__init__(daemon=True)
        self.is_over = not life.retries
        """Whether no other job comes."""
        self.trouble = ""
        self._life = life
        self._jobs = jobs
        self._theirs = disco
        self._disco = Disco(disco.url)  # here, while Redis is up
        self._enough = threading.Event()
        self.start()

    def stop(self) -> None:
        self._enough.set()
        self.join(PATIENCE_S)
        self._disco.close()

    def run(self) -> None:
        try:
            if "pilot" in self._life.options:
                threading.Thread(target=self._resume, daemon=True).start()
            for after_s, purges in self._life.retries:
                self._enough.wait(after_s)
                self._retry(purges)
        except UnknownJob:
            pass  # Redis was emptied: the round submits it again
        except Exception as error:  # noqa: BLE001  whatever it is, the round tells it
            self.trouble = f"{type(error).__name__}: {error}"
        self.is_over = True

    def _resume(self) -> None:
        while not self._enough.wait(0.2):
            try:
                job = self._disco.job(self._jobs[-1].name)
                if job.jobinfo()["paused"]:
                    job.resume()
            except DiscoError:
                continue  # it has ended, is forgotten, or Redis is away

    def _retry(self, purges: bool) -> None:
        old = self._disco.job(self._jobs[-1].name)
        _tried(old.kill)
        if _tried(lambda: old.results(timeout=0)[0]) == "ready":
            return
        new = _tried(old.retry)
        self._jobs.append(self._theirs.job(new.name))
        if purges:
            _tried(old.purge)


class Reader(threading.Thread):
    """Somebody who reads the results of a job as they come."""

    def __init__(self, url: str, job: str) -> None:
        super().__init__(daemon=True)
        self.job = job
        self.pairs: list[Any] = []
        self.told = ""
        """``ready``, ``dead``, ``forgotten``, or what else he was told; "" not yet."""
        self._disco = Disco(url)
        self.start()

    def run(self) -> None:
        try:
            with self._disco as disco:
                self.pairs += disco.job(self.job).stream()
            self.told = "ready"
        except UnknownJob:
            self.told = "forgotten"
        except JobError as error:
            self.told = "dead" if "is dead" in str(error) else str(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the round tells it
            self.told = f"{type(error).__name__}: {error}"


def _tried(do: Callable[[], Any]) -> Any:
    """What it gives, at last: harms may prevent it for some time. ``UnknownJob``."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return do()
        except UnknownJob:
            raise
        except DiscoError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)
