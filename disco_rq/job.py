"""One job, as the client that submitted or found it holds it."""

from __future__ import annotations

import pstats
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from disco_rq.model import ResultStatus
from disco_rq.resultfiles import Results

if TYPE_CHECKING:
    from disco_rq.client import Disco
    from disco_rq.progress import Display


class Job:
    """One job of a cluster; its methods are those of ``Disco``, with the job's name filled in."""

    def __init__(self, disco: Disco, name: str) -> None:
        self._disco = disco
        self.name = name

    def __repr__(self) -> str:
        return f"<Job {self.name}>"

    def wait(
        self,
        timeout: float | None = None,
        poll_interval: float = 5.0,
        clean: bool = False,
        show: bool | Display | None = None,
    ) -> Results:
        return self._disco.wait(self.name, timeout, poll_interval, clean, show)

    def results(self, timeout: float = 2.0) -> tuple[ResultStatus, list[str]]:
        return self._disco.results(self.name, timeout)

    def jobinfo(self) -> dict[str, Any]:
        return self._disco.jobinfo(self.name)

    def jobspec(self) -> dict[str, Any]:
        return self._disco.jobspec(self.name)

    def events(self, offset: str = "0-0") -> Iterator[tuple[str, tuple[float, str, str]]]:
        return self._disco.events(self.name, offset)

    def story(self, task: str) -> list[dict[str, Any]]:
        return self._disco.story(self.name, task)

    def log(self, task: str, attempt: int | None = None) -> str:
        return self._disco.log(self.name, task, attempt)

    def profile_stats(self, mode: str = "") -> pstats.Stats:
        return self._disco.profile_stats(self.name, mode)

    def oob_list(self) -> list[str]:
        return self._disco.oob_list(self.name)

    def oob_get(self, key: str) -> Any:
        return self._disco.oob_get(self.name, key)

    def kill(self) -> None:
        self._disco.kill(self.name)

    def clean(self) -> None:
        self._disco.clean(self.name)

    def purge(self) -> None:
        self._disco.purge(self.name)

    def pause(self) -> None:
        self._disco.pause(self.name)

    def resume(self) -> None:
        self._disco.resume(self.name)
