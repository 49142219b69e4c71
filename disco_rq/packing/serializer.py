"""How RQ stores what it stores for us."""

from __future__ import annotations

from typing import Any

import msgpack

__all__ = ["Serializer"]


class Serializer:
    """How RQ stores what it stores for us: msgpack, never pickle, so reading a message runs no code.

    For queues, workers and ``Job.fetch`` alike, as the class itself or as ``disco_rq.packing.Serializer``.
    Tuples come back as lists, which RQ's ``(func_name, instance, args, kwargs)`` takes as well. What msgpack
    does not hold is refused with ``TypeError`` when written.
    """

    @staticmethod
    def dumps(obj: Any, /) -> bytes:
        return bytes(msgpack.packb(obj, use_bin_type=True))

    @staticmethod
    def loads(data: bytes, /) -> Any:
        # RQ's own messages and ours may have ints as keys; unpackb refuses those unless told.
        return msgpack.unpackb(data, raw=False, strict_map_key=False)
