"""What is known of a local job: where Redis has its keys, this has its fields."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from disco_rq.model import TaskId

__all__ = ["NODE", "LocalEvent", "LocalRecord"]

NODE = "localhost"
"""The name of the only node there is; that of the embedded cluster's too."""


class LocalEvent(NamedTuple):
    """A line of the job's history."""

    timestamp: float  # seconds since 1970
    host: str
    message: str
    by_job: bool  # a message of the job itself


@dataclass(slots=True)
class LocalRecord:
    """What is known of a job: where Redis has its keys, this has its fields."""

    name: str
    outputs: dict[TaskId, str] = field(default_factory=dict)
    oob: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # key -> phase, typed value
    counters: Counter[str] = field(default_factory=Counter)
    events: list[LocalEvent] = field(default_factory=list)
    profiles: list[Path] = field(default_factory=list)
    bad: dict[TaskId, tuple[int, int]] = field(default_factory=dict)  # bad entries, and the attempt
    nr_read: int = 0  # entries that its maps have read, where some may be bad
    msgs_dropped: int = 0
    partitioned: str = ""  # how, as ``client.partitioned`` has it

    def tell(self, host: str, text: str, *, by_job: bool = False) -> None:
        """A line for the history."""
        self.events.append(LocalEvent(time.time(), host, text, by_job))
