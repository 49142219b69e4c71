"""A node as the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class NodeState:
    """Its slots, what is under way there, and whether it gets more."""

    slots: int
    blacklisted: bool = False
    draining: bool = False  # like that, but what is in its queue is left to it
    closed: str = ""  # why it takes none of its own accord; what is queued moves
    batches: int = 0  # under way: in its queue or in its workers

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
