"""What the master does about attempts that lag: it looks each one up, and then moves it or has it copied."""

from __future__ import annotations

from collections.abc import Callable

from disco_rq.planning.assignment import Assignment
from disco_rq.planning.planner import Planner
from disco_rq.planning.stragglers import Laggard, has_room_elsewhere, laggards
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.taskstate import TaskState

LAGGARDS_EVERY_S = 0.1
MOST_LOOKED_UP = 100
"""As many are looked up at once: there are seldom more idle slots, and what is left comes next."""


class Speculation:
    """Looks for attempts that lag, for the leading master, whenever it has nothing better to assign."""

    def __init__(
        self, store: ClusterStore, planner: Planner, hand_back: Callable[[str, str], object]
    ) -> None:
        """``hand_back(batch_id, why)`` lets the tasks of a batch wait again that nobody has claimed."""
        self._store = store
        self._planner = planner
        self._board = planner.board
        self._hand_back = hand_back
        self._look_at = 0.0

    def look(self, now_s: float) -> list[Assignment]:
        """Copies to be assigned, which count as under way from here on.

        What waits in the queue of a node, and could run at once elsewhere, is handed back instead.
        """
        if now_s < self._look_at:
            return []
        self._look_at = now_s + LAGGARDS_EVERY_S
        running, stuck = [], {}
        now_ms = 0
        for laggard, state in self._states(laggards(self._board, now_s)[:MOST_LOOKED_UP]):
            if state.state == "queued":
                stuck[laggard.batch_id] = laggard
                continue
            now_ms = now_ms or self._store.now_ms()
            ran_s = (now_ms - state.since_ms) / 1000
            if ran_s < 0:  # the server's clock was stepped back
                ran_s = now_s - self._board.batches[laggard.batch_id].since_s
            if ran_s > laggard.limit_s:
                running.append((laggard, ran_s))
        for batch_id, laggard in stuck.items():
            if has_room_elsewhere(self._board, laggard):
                self._hand_back(batch_id, f"it waits on node {laggard.node} while other slots are idle")
        return self._planner.copies(running, now_s)

    def _states(self, found: list[Laggard]) -> list[tuple[Laggard, TaskState]]:
        """Each with its state, without those that are through: their events come."""
        states = self._store.states([(laggard.job, laggard.task) for laggard in found])
        return [
            (laggard, own)
            for laggard, (own, _) in zip(found, states, strict=True)
            if own is not None and own.attempt == laggard.attempt and own.state in ("queued", "running")
        ]
