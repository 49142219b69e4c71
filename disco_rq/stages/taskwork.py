"""What a stage is handed: one attempt of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from disco_rq.model import Functions, JobSpec, TaskId
from disco_rq.stages.onlyentry import OnlyEntry

__all__ = ["KeepsBad", "TaskWork"]


class KeepsBad(Protocol):
    """Where the bad entries of a task go."""

    def keep(self, url: str, offset: int, number: int, entry: object, error: Exception | str) -> None:
        """Another one. Raises ``BadEntryError`` if the job has too many now."""

    def look(self, nr_read: int, share: float) -> None:
        """Of the task such a share was read so far, and so many entries. ``BadEntryError`` if it is
        hopeless.
        """

    def end(self, nr_read: int) -> None:
        """There are no more. ``nr_read``: entries that were read in all, the bad ones too."""


@dataclass(frozen=True, slots=True)
class TaskWork:
    """One attempt of a task, as a worker hands it to a stage."""

    spec: JobSpec
    functions: Functions
    params: Any
    task: TaskId
    scratch: Path  # an empty directory of this attempt, for spills; removed by the caller
    status: Callable[[str], None]  # system event: "100000 entries mapped"
    new_params: Callable[[], Any]  # another copy of them, as the job has it
    memory_bytes: int = 0  # an output no larger than this is the result's ``content``, and no file
    bad: KeepsBad | None = None  # of a map; None: no entry may be bad
    only: OnlyEntry | None = None  # of a map: what it is given of each input; None: all
    tell_entries: Callable[[int], None] = lambda _nr_entries: None  # now and then: so many were read so far
