"""The check of a map: it runs once more, elsewhere, nothing that it says is heard, and its output is compared
with what the map has committed.

Compared are digests, in the commit itself; here is looked for the key that a difference begins with, and only
where there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from disco_rq.attempt.place import Place
from disco_rq.attempt.running import Outcome, Turn
from disco_rq.errors import DataError
from disco_rq.model import StageResult, TaskId
from disco_rq.outputs.adopted import output_task
from disco_rq.records import first_difference
from disco_rq.records.digest import changed_partitions
from disco_rq.records.pairs import shown
from disco_rq.store.attempts import Attempt, Commit
from disco_rq.store.committed import committed_output
from disco_rq.store.connection import Connection
from disco_rq.worker.secondlook import TO_BE_LOOKED_AT, blocks_here, blocks_of, forget_looked_at

__all__ = ["checked", "turn_of_check"]


def turn_of_check(turn: Turn) -> Turn:
    """The map of which this is the check, as it is run for that: its result is saved nowhere."""
    spec = replace(turn.spec, save=None, save_format=None, has_save_by=False, profile=False)
    return replace(turn, spec=spec, task=TaskId("map", turn.task.index), number=TO_BE_LOOKED_AT)


def checked(
    connection: Connection, place: Place, attempt: Attempt, turn: Turn, run: Callable[[Turn], Outcome]
) -> Commit:
    """Run the check, whose turn it is, and say how it ends. Nothing of what it has made stays."""
    map_turn, started = turn_of_check(turn), time.monotonic()
    try:
        outcome = run(map_turn)
        ended = time.monotonic()
        difference = _difference(connection, place, map_turn, outcome.result)
    finally:
        forget_looked_at(place.data, attempt.job, map_turn.task)
    left = replace(outcome.result, content=None, counters={}, partition_bytes={}, left_out="")
    return Commit(
        attempt=attempt,
        address="",
        duration_ms=round((ended - started) * 1000),
        result=left,
        ended_s=ended,
        difference=difference,
    )


def _difference(connection: Connection, place: Place, turn: Turn, result: StageResult) -> str:
    """In words that go on after "it differs in partition 1"."""
    digests, address = committed_output(connection, turn.spec.name, turn.task)
    changed = changed_partitions(digests, result.digests)
    if not changed or output_task(turn.spec, address) != turn.task:  # it is saved, or lost
        return ""
    place.scratch.empty()
    made = blocks_here(place.data.output(turn.spec.name, turn.task, turn.number), result, changed[0])
    with suppress(DataError):
        pair = first_difference(partial(blocks_of, place, address, changed[0]), made)
        if pair is not None:
            return f", first at the key {shown(pair.key)}"
    return ""
