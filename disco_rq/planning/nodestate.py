"""A node as the planner sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

SAMPLE = 2
"""A node is slow if its last tasks were, so many of them: one may have had much to do."""
SLOW = 3.0
"""... and took more than so many times as long as the median."""
MEMORY_S = 60.0
"""For how long a slow node is held to be slow that has done nothing since."""


@dataclass(slots=True)
class NodeState:
    """Its slots, what is under way there, how fast it was of late, and whether it gets more."""

    slots: int
    blacklisted: bool = False
    draining: bool = False  # like that, but what is in its queue is left to it
    labels: Mapping[str, bool | float | str] = field(default_factory=dict)
    closed: str = ""  # why it takes none of its own accord; what is queued moves
    batches: int = 0  # under way: in its queue or in its workers
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLE))
    _paced_at_s: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it gets new tasks."""
        return not (self.blacklisted or self.draining or self.closed)

    @property
    def why_closed(self) -> str:
        return "blacklisted" if self.blacklisted else self.closed or "draining"

    @property
    def keeps_queue(self) -> bool:
        """Whether what is in its queue is left to it."""
        return not (self.blacklisted or self.closed)

    def paced(self, times: float, now_s: float) -> None:
        """A task took so many times as long here as its phase's median."""
        self._paces.append(times)
        self._paced_at_s = now_s

    def slowness(self, now_s: float) -> float:
        """How many times as long as elsewhere tasks took here of late, each of them; 1 unless it is slow."""
        if len(self._paces) < SAMPLE or now_s - self._paced_at_s > MEMORY_S:
            return 1.0
        return least if (least := min(self._paces)) > SLOW else 1.0
