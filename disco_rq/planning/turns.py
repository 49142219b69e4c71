"""Whose turn it is among the jobs that may have a batch: see the rules of the planner."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import TypeAlias, TypeVar

from disco_rq.planning.owners import Rank

Turn: TypeAlias = tuple[int, int, int, int, str]
"""A job's place, the smallest first: priority (negative), batches under way, last turn, submission, name."""
Place: TypeAlias = tuple[Rank, Turn]
"""The same among the jobs of all owners."""

T = TypeVar("T")


class Turns:
    """The jobs of one plan in their order. Two hundred of them cost a batch no more than two do."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._heap = list(turns)
        heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    @property
    def first(self) -> Turn:
        return self._heap[0]

    def put(self, turn: Turn) -> None:
        """A job has another turn."""
        heappush(self._heap, turn)

    def take(
        self, offer: Callable[[str], T | None], before: Turn | None, is_over: Callable[[str], bool]
    ) -> T | None:
        """What the first job gives that gives something; its turn is over. The others keep theirs, but those
        that ``is_over`` names.

        ``before``: only jobs whose turn comes before that one.
        """
        passed = []
        answer = None
        while self._heap and answer is None and (before is None or self._heap[0] < before):
            turn = heappop(self._heap)
            if is_over(turn[-1]):
                continue
            answer = offer(turn[-1])
            if answer is None:
                passed.append(turn)
        for turn in passed:
            heappush(self._heap, turn)
        return answer


class Round:
    """The turns of one plan, those of each owner by themselves: first whose turn it is among the owners, then
    among its jobs. A thousand owners cost a batch no more than two do.
    """

    def __init__(
        self,
        turns: Mapping[str, Iterable[Turn]],
        rank: Callable[[str], Rank],
        is_over: Callable[[str], bool],
    ) -> None:
        """``is_over(job)``: it may have nothing more in this plan."""
        self._of = {owner: Turns(some) for owner, some in turns.items()}
        self._rank = rank
        self._is_over = is_over
        self._heap = [(rank(owner), some.first, owner) for owner, some in self._of.items() if some]
        heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, owner: str, turn: Turn | None) -> None:
        """The owner of the batch that was taken last has its next turn, and that job, if it has another."""
        turns = self._of[owner]
        if turn is not None:
            turns.put(turn)
        self._wait(owner)

    def take(self, offer: Callable[[str], T | None], before: Place | None = None) -> T | None:
        """As that of ``Turns``; ``put`` follows, with the owner of what was taken."""
        passed = []
        answer = None
        while self._heap and answer is None and (before is None or self._heap[0][:2] < before):
            rank, _, owner = heappop(self._heap)
            limit = before[1] if before is not None and rank == before[0] else None
            answer = self._of[owner].take(offer, limit, self._is_over)
            if answer is None:
                passed.append(owner)
        for owner in passed:
            self._wait(owner)
        return answer

    def _wait(self, owner: str) -> None:
        turns = self._of[owner]
        if turns:
            heappush(self._heap, (self._rank(owner), turns.first, owner))


class Waiting:
    """The turns that wait for the next free slot, those of each owner by themselves. Where most fit a node, a
    thousand owners cost a look no more than two do.
    """

    def __init__(self, turns: Mapping[str, Iterable[Turn]], rank: Callable[[str], Rank]) -> None:
        self._of = {owner: sorted(some) for owner, some in turns.items() if some}
        self._rank = rank
        self._entry = {owner: (rank(owner), some[0], owner) for owner, some in self._of.items()}
        self._order = sorted(self._entry.values())

    def served(self, owner: str) -> None:
        """The owner had its turn elsewhere: its rank is another one."""
        if owner in self._entry:
            del self._order[bisect_left(self._order, self._entry[owner])]
            self._entry[owner] = (self._rank(owner), self._of[owner][0], owner)
            insort(self._order, self._entry[owner])

    def first(self, takes: Callable[[str], bool]) -> Place | None:
        """The first of the jobs that ``takes`` names."""
        best: Place | None = None
        for rank, earliest, owner in self._order:
            if best is not None and best < (rank, earliest):
                break
            turn = next((turn for turn in self._of[owner] if takes(turn[-1])), None)
            if turn is not None and (best is None or (rank, turn) < best):
                best = rank, turn
        return best
