"""One job, as the client that submitted or found it holds it."""

from __future__ import annotations

import pstats
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

from disco_rq.client.arguments import Address, JobArguments
from disco_rq.client.results import Results
from disco_rq.client.submission import ARGUMENTS
from disco_rq.model import ResultStatus

if TYPE_CHECKING:
    from disco_rq.client.disco import Disco
    from disco_rq.client.progress import Display


class Job:
    """One job of a cluster; its methods are those of ``Disco``, with the job's name filled in.

    A subclass may describe a job: its attributes are the arguments of ``new_job``, its functions static
    methods; ``submit`` starts it.
    """

    def __init__(self, disco: Disco, name: str) -> None:
        self._disco = disco
        self.name = name

    @classmethod
    def submit(
        cls,
        disco: Disco,
        input: Sequence[Address | Sequence[Address]] | None = None,
        **arguments: Unpack[JobArguments],
    ) -> Self:
        """Submit the job that the class describes and return at once. What is given here wins over the class.

        The job's name begins with the class attribute ``name``, or with the name of the class. Raises what
        ``new_job`` raises.
        """
        described: dict[str, Any] = {what: getattr(cls, what) for what in ARGUMENTS if hasattr(cls, what)}
        described |= {"name": described.get("name", cls.__name__), **arguments}
        if input is not None or "input" not in described:
            described["input"] = input
        return cls(disco, disco.new_job(**described).name)

    def __repr__(self) -> str:
        return f"<Job {self.name}>"

    def wait(
        self,
        timeout: float | None = None,
        poll_interval: float = 5.0,
        clean: bool = False,
        show: bool | Display | None = None,
    ) -> Results:
        """Block until the job has ended; return the addresses of its results.

        Raises ``JobError``: with the first cause if the job is dead, with ``"Timeout"`` after ``timeout``
        seconds, in which case the job goes on. ``clean``: forget its records when it is ready. ``show``:
        events and progress on stderr.
        """
        return self._disco.wait(self.name, timeout, poll_interval, clean, show)

    def results(self, timeout: float = 2.0) -> tuple[ResultStatus, list[str]]:
        """``(status, addresses)``; waits at most ``timeout`` seconds for the job's end."""
        return self._disco.results(self.name, timeout)

    def jobinfo(self) -> dict[str, Any]:
        """The job in numbers: its status, its tasks by state, inputs, results, nodes, counters, cause, …"""
        return self._disco.jobinfo(self.name)

    def jobspec(self) -> dict[str, Any]:
        """Every argument of ``new_job`` as the job was submitted with it, as plain data."""
        return self._disco.jobspec(self.name)

    def events(self, offset: str = "0-0") -> Iterator[tuple[str, tuple[float, str, str]]]:
        """The job's history after ``offset``, oldest first: ``(offset, (timestamp, host, message))``."""
        return self._disco.events(self.name, offset)

    def story(self, task: str) -> list[dict[str, Any]]:
        """The attempts of a task (``map:3``), oldest first: where, when, and how each ended."""
        return self._disco.story(self.name, task)

    def log(self, task: str, attempt: int | None = None) -> str:
        """What an attempt of a task printed and logged (default: the last one), 64 KiB at most."""
        return self._disco.log(self.name, task, attempt)

    def profile_stats(self, mode: str = "") -> pstats.Stats:
        """The profiles of its tasks as one (``mode``: "map", "reduce", or both); ``JobError`` if none."""
        return self._disco.profile_stats(self.name, mode)

    def oob_list(self) -> list[str]:
        """The keys of its committed OOB results, sorted."""
        return self._disco.oob_list(self.name)

    def oob_get(self, key: str) -> Any:
        """A committed OOB result, of the type that was put. Raises ``OOBNotFound`` if there is none."""
        return self._disco.oob_get(self.name, key)

    def kill(self) -> None:
        """End the job and what it runs; it is dead then. Idempotent."""
        self._disco.kill(self.name)

    def clean(self) -> None:
        """Forget the job's records, keep its files. Raises ``JobError`` while it is active."""
        self._disco.clean(self.name)

    def purge(self) -> None:
        """Kill the job if it is active, and delete its records and its files on every node. Idempotent."""
        self._disco.purge(self.name)

    def pause(self) -> None:
        """Start no new tasks of the job until ``resume``."""
        self._disco.pause(self.name)

    def resume(self) -> None:
        """Start tasks of a paused job again."""
        self._disco.resume(self.name)
