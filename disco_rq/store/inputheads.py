"""What the maps of a job read, for who only looks: of large inputs no more than how they begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgpack

from disco_rq.model import Input, MapInput
from disco_rq.packing.signing import TASK_SIGNATURE_BYTES
from disco_rq.store import keys, unreadable
from disco_rq.store.attempts import unpack_input
from disco_rq.store.connection import Connection

__all__ = ["MOST_BYTES", "input_heads"]

HEAD_BYTES = 256 << 10
"""Of each: some thousand addresses. What is larger are records, mostly, whose address comes first."""
MOST_BYTES = 4 << 20
"""Of all together: there they end."""


def input_heads(
    connection: Connection, name: str, indices: Sequence[int], most_bytes: int = MOST_BYTES
) -> list[tuple[int, MapInput]]:
    """(index of the map, what it reads), without the records that travel with a job. Not checked.

    Of an input over 256 KiB those addresses come that lie in so much of it.
    """
    key = keys.JobKeys(name).inputs
    pipe = connection.redis.pipeline(transaction=False)
    for index in indices:
        pipe.hstrlen(key, str(index))
    sizes = [size or 0 for size in (unreadable.answers(pipe) if indices else [])]
    ends = accumulate(min(size, HEAD_BYTES) for size in sizes)
    wanted = [
        (index, size) for index, size, end in zip(indices, sizes, ends, strict=True) if end <= most_bytes
    ]
    small = [str(index) for index, size in wanted if size <= HEAD_BYTES]
    large = [str(index) for index, size in wanted if size > HEAD_BYTES]
    packed: dict[str, Any] = {}
    if small:
        found: Any = unreadable.answer(lambda: connection.redis.hmget(key, small))
        packed |= zip(small, found or [], strict=False)
    if large:
        found = unreadable.answer(lambda: heads_of_large(connection, name, large))
        packed |= zip(large, found or [], strict=False)
    there = [(index, entry) for index, _ in wanted if (entry := packed.get(str(index))) is not None]
    return unreadable.readable(f"an input of {name},", there, lambda one: (one[0], _unpacked(one[1])))


def heads_of_large(connection: Connection, name: str, indices: Sequence[str]) -> Any:
    """As Redis keeps them."""
    return connection.run("head_inputs", [keys.JobKeys(name).inputs], [HEAD_BYTES, *indices])


def _unpacked(sealed: bytes) -> MapInput:
    return unpack_input(sealed) if len(sealed) < HEAD_BYTES else MapInput(tuple(_parts(sealed)))


def _parts(sealed: bytes) -> list[tuple[Input, ...]]:
    """The parts in the first bytes of an input, as far as they go."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", max_buffer_size=0)
    unpacker.feed(sealed[TASK_SIGNATURE_BYTES:])
    parts: list[tuple[Input, ...]] = []
    replicas: list[Input] = []
    fields: list[Any] = []
    try:
        for _ in range(unpacker.read_array_header()):
            replicas = []
            for _ in range(unpacker.read_array_header()):
                fields = []
                for _ in range(unpacker.read_array_header()):
                    fields.append(unpacker.unpack())
                replicas.append(Input.unpack(fields[:5]))
                fields = []
            parts.append(tuple(replicas))
            replicas = []
    except (msgpack.OutOfData, ValueError):  # the end, or the side of a map, which nobody asks for
        if len(fields) == 5:  # records come next
            replicas.append(Input.unpack(fields))
        if replicas:
            parts.append(tuple(replicas))
    return parts
