"""A task's result, split by what the job's ``save_by`` says of each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from disco_rq.errors import TaskError
from disco_rq.records import RecordWriter, all_blocks, batches
from disco_rq.records.blocks import Kind, pack_block
from disco_rq.records.pairs import place_of, shown
from disco_rq.records.spool import private
from disco_rq.records.writer import PackedBlocks, encode
from disco_rq.saving.names import MAX_NAMES, problem_with

__all__ = ["Split"]

_AT_ONCE_BYTES = 8 << 20
"""So much of a result is held before it is put aside, name by name: each takes opening a file."""
_CHUNK_BYTES = 1 << 20

SaveBy = Callable[[Any, Any], str]


class _Pile:
    """The pairs of one name: some in memory, the others packed in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self._nr_blocks = self._size = self._raw_bytes = 0

    def put_aside(self) -> None:
        """Append what is in memory to the file."""
        if not self.keys:
            return
        block = encode(self.keys, self.values, grouped=False)
        header, payload = pack_block(Kind.PAIRS, 0, self._nr_blocks, block.size, block.data)
        with open(self.path, "ab" if self._nr_blocks else "wb", opener=private) as file:
            file.write(header)
            file.write(payload)
        self._nr_blocks += 1
        self._size += block.size
        self._raw_bytes += len(block.data)
        self.keys, self.values = [], []

    def packed(self) -> PackedBlocks:
        return PackedBlocks(self._chunks(), self._nr_blocks, self._size, self._raw_bytes)

    def _chunks(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")


class Split:
    """The pairs of a record file, by name, each name's in their order; in bounded memory."""

    def __init__(self, records: Path, save_by: SaveBy, scratch: Path) -> None:
        """Asks ``save_by`` once for each pair. Raises ``TaskError`` naming it and the pair for what is no
        name, or one too many; what it raises itself passes, with a note of the pair.
        """
        self._save_by = save_by
        self._scratch = scratch
        self._piles: dict[str, _Pile] = {}
        held = 0
        for block in all_blocks(records, str(records)):
            for batch in batches([block], str(records)):
                for key, value in batch.pairs():
                    pile = self._pile(key, value)
                    pile.keys.append(key)
                    pile.values.append(value)
            held += len(block.data)
            if held > _AT_ONCE_BYTES:
                self._put_aside()
                held = 0
        self._put_aside()

    @property
    def names(self) -> list[str]:
        """Sorted."""
        return sorted(self._piles)

    def record_file(self, name: str) -> Path:
        """The pairs of a name, as a record file in the scratch directory. Once only: it is gone elsewhere."""
        pile = self._piles.pop(name)
        path = pile.path.with_suffix(".records")
        with RecordWriter(path) as writer:
            writer.add_packed(0, pile.packed())
        pile.path.unlink()
        return path

    def _put_aside(self) -> None:
        for pile in self._piles.values():
            pile.put_aside()

    def _pile(self, key: Any, value: Any) -> _Pile:
        try:
            name = self._save_by(key, value)
        except Exception as error:
            error.add_note(f"in save_by for {_pair(key, value)}")
            raise
        pile = self._piles.get(name) if type(name) is str else None
        if pile is not None:
            return pile
        why = problem_with(name)
        if not why and len(self._piles) == MAX_NAMES:
            why = f"a task may have {MAX_NAMES:,} names, and this is one more"
        if why:
            raise TaskError(
                f"save_by answered {shown(name)} for {_pair(key, value)}: {why} ({place_of(self._save_by)})"
            )
        self._piles[name] = pile = _Pile(self._scratch / f".by-{len(self._piles)}")
        return pile


def _pair(key: Any, value: Any) -> str:
    return f"the key {shown(key)} with the value {shown(value)}"
