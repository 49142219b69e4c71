"""The names of a worker and of the node whose queue it listens to."""

from __future__ import annotations

from typing import Any, cast

from disco_rq.errors import DiscoError, SettingsError
from disco_rq.model import NODE_NAME, WORKER_NAME
from disco_rq.store import keys

__all__ = ["checked", "node_of"]

_QUEUE_PREFIX = keys.queue("")


def checked(name: str) -> str:
    """Raises ``SettingsError`` for the name of a worker that no key and no path can hold."""
    if not WORKER_NAME.fullmatch(name):
        raise SettingsError(
            f"worker name {name!r}: it takes 1 to 128 of [a-zA-Z0-9_.:@-], no . : @ first; "
            "give another with 'rq worker -n NAME', or none"
        )
    return name


def node_of(queues: Any) -> str:
    """The node whose queue it is. Raises ``DiscoError`` for anything but one queue ``disco.<node>``, where
    ``<node>`` may be the name of one.
    """
    listed = queues if isinstance(queues, list | tuple) else [queues]
    names = [queue if isinstance(queue, str) else queue.name for queue in listed]
    if len(names) != 1 or not names[0].startswith(_QUEUE_PREFIX) or names[0] == _QUEUE_PREFIX:
        raise DiscoError(
            f"a DiscoWorker listens to one queue, {_QUEUE_PREFIX}NODE, not to {', '.join(names) or 'none'}"
        )
    node = cast(str, names[0].removeprefix(_QUEUE_PREFIX))
    if not NODE_NAME.fullmatch(node):
        raise SettingsError(f"queue {names[0]!r}: a node name takes 1 to 64 of [a-zA-Z0-9_.-]")
    return node
