"""Of a map that was made again and came back different, where a reduce has read the first output: which key.

Looked for before the commit, whose cause it stands in, and only there: the commit itself decides. Compared is
with what can still be read of the first output; where nothing can, with another run of the map, here and now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from disco_rq.attempt.place import Place
from disco_rq.attempt.running import Outcome
from disco_rq.model import Phase, StageResult, TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.records import FileSource, content_blocks, first_difference
from disco_rq.records.blocks import Block
from disco_rq.records.pairs import shown
from disco_rq.runtime import Services
from disco_rq.store.attempts import Attempt, AttemptStore

__all__ = ["SecondLook", "Unheard", "blocks_here", "blocks_of", "forget_looked_at"]

log = logging.getLogger("disco_rq.execution")

BRIEF_S = 2.0
"""Patience with the node that had the first output, which may be gone."""
RUN_AGAIN_S = 60.0
"""A map that took longer is not run once more for this."""
TO_BE_LOOKED_AT = 0
"""Number of the attempt that is run for this: no other one has it. It leaves nothing."""


class Unheard:
    """What an attempt reaches that is run to be looked at: it may read, and what it says is not heard."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def put(self, _key: str, _typed_value: bytes, _count: int) -> int:
        return 0

    def get(self, key: str, phase: Phase | None) -> Any:
        return self._services.get(key, phase)

    def get_from(self, job: str, key: str) -> Any:
        return self._services.get_from(job, key)

    def take_back(self, _keys: Sequence[str]) -> None:
        pass

    def message(self, _text: str) -> int:
        return 1

    def bad_elsewhere(self) -> int:
        return 0


class SecondLook:
    """At the output of one attempt that is complete."""

    def __init__(self, store: AttemptStore, place: Place, attempt: Attempt) -> None:
        self._store = store
        self._place = place
        self._attempt = attempt

    def difference(self, result: StageResult, took_s: float, run_again: Callable[[], Outcome]) -> str:
        """In words that go on after "which reduce:1 has read before"; empty where there is nothing to say."""
        found = self._store.contradicted(self._attempt, result.digests)
        if found is None:
            return ""
        partition, lost = found
        place, attempt = self._place, self._attempt
        place.scratch.empty()
        made = blocks_here(self._output(attempt.number), result, partition)
        pair = first_difference(partial(blocks_of, place, lost, partition), made) if lost else None
        if pair is not None:
            return f", first at the key {shown(pair.key)}"
        if took_s > RUN_AGAIN_S:
            return ""
        try:
            return self._run_again(made, partition, run_again)
        except (Exception, SystemExit) as error:  # noqa: BLE001  of user code, which ran well before
            fields = {"action": "second look", "job": attempt.job}
            log.info("%s %s, run once more: %s", attempt.job, attempt, error, extra=fields)
            return f"; run once more, it raised {type(error).__name__}"

    def _run_again(
        self, made: Callable[[], Iterable[Block]], partition: int, run_again: Callable[[], Outcome]
    ) -> str:
        number = TO_BE_LOOKED_AT
        try:
            again = run_again().result
            pair = first_difference(made, blocks_here(self._output(number), again, partition))
        finally:
            forget_looked_at(self._place.data, self._attempt.job, self._attempt.task)
        if pair is not None:
            return f"; run once more, it differed again, first at the key {shown(pair.key)}"
        return ""

    def _output(self, number: int) -> Path:
        return self._place.data.output(self._attempt.job, self._attempt.task, number)


def blocks_here(path: Path, result: StageResult, partition: int) -> Callable[[], Iterable[Block]]:
    """Of an output that is here, in memory or in its file."""
    if result.content is not None:
        return partial(content_blocks, result.content, partition, path.name)
    return partial(FileSource(path, path.name).blocks, partition)


def blocks_of(place: Place, address: str, partition: int) -> Iterable[Block]:
    """Of an output anywhere, which may not be there any more: what can be read. ``DataError`` where it
    ends.
    """
    [source] = reduce_sources(
        place.locator, [address], partition, place.scratch.directory, patience_s=BRIEF_S
    )
    return source.blocks(partition)


def forget_looked_at(data: DataDir, job: str, task: TaskId) -> None:
    """Delete what an attempt has left that was run to be looked at."""
    for file in (data.output, data.profile, data.bad):
        file(job, task, TO_BE_LOOKED_AT).unlink(missing_ok=True)
