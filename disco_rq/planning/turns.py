"""Whose turn it is among the jobs that may have a batch: see the rules of the planner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import TypeAlias, TypeVar

Turn: TypeAlias = tuple[int, int, int, int, str]
"""A job's place, the smallest first: priority (negative), batches under way, last turn, submission, name."""

T = TypeVar("T")


class Turns:
    """The jobs of one plan in their order. Two hundred of them cost a batch no more than two do."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._heap = list(turns)
        heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, turn: Turn) -> None:
        """A job has another turn."""
        heappush(self._heap, turn)

    def take(self, offer: Callable[[str], T | None], before: Turn | None = None) -> T | None:
        """What the first job gives that gives something; its turn is over. The others keep theirs.

        ``before``: only jobs whose turn comes before that one.
        """
        passed = []
        answer = None
        while self._heap and answer is None and (before is None or self._heap[0] < before):
            turn = heappop(self._heap)
            answer = offer(turn[-1])
            if answer is None:
                passed.append(turn)
        for turn in passed:
            heappush(self._heap, turn)
        return answer
