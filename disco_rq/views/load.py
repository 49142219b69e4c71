"""The last hour of the cluster: throughput, slots, memory and load, as a page saw it from time to time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from disco_rq.store.viewing import ClusterView, NodeView

__all__ = ["STEP_S", "Load", "LoadHistory", "NodeLoad"]

STEP_S = 5.0
"""How often is looked. Nothing is written: a page knows what was since it began."""
MOST_LOOKS = 720
MOST_POINTS = 120
MOST_NODES = 50
"""Of so many nodes their own is told, and kept of four times as many."""


class NodeLoad(Struct):
    """``memory``: bytes in use; ``load``: processes that run or want to, on average of a minute."""

    node: str
    busy: list[int | None]
    memory: list[int | None]
    load: list[float | None]


class Load(Struct):
    """What was at each moment ``at``; None: nobody knows. ``throughput``: tasks a second since the moment
    before. ``truncated``: there are more nodes.
    """

    at: list[int | None]
    throughput: list[float | None]
    slots: list[int | None]
    busy: list[int | None]
    nodes: list[NodeLoad]
    truncated: bool


class _Look(NamedTuple):
    at: int
    done: int  # tasks since the cluster began; of forgotten nodes no more
    slots: int
    busy: int
    nodes: dict[str, tuple[int, int | None, float | None]]  # busy slots, bytes of memory in use, load


class LoadHistory:
    """Looks at a cluster, the oldest first; None where nobody could look."""

    def __init__(self) -> None:
        self._looks: deque[_Look | None] = deque(maxlen=MOST_LOOKS)

    def add(self, cluster: ClusterView | None) -> None:
        self._looks.append(None if cluster is None else _look(cluster))

    def told(self) -> Load:
        every = list(self._looks)
        apart = (len(every) - 1) // MOST_POINTS + 1
        looks = every[::-1][::apart][::-1]
        names = list(dict.fromkeys(name for look in reversed(looks) if look for name in look.nodes))
        shown = names[:MOST_NODES]
        return Load(
            at=[look and look.at for look in looks],
            throughput=[None, *map(_throughput, looks, looks[1:])] if looks else [],
            slots=[look and look.slots for look in looks],
            busy=[look and look.busy for look in looks],
            nodes=[_of_node(name, looks) for name in shown],
            truncated=len(names) > len(shown),
        )


def _look(cluster: ClusterView) -> _Look:
    slots = [slot for node in cluster.nodes for slot in node.slots]
    alive = [node for node in cluster.nodes if node.slots][: 4 * MOST_NODES]
    return _Look(
        cluster.now_ms,
        sum(_number(node, "done") or 0 for node in cluster.nodes),
        len(slots),
        sum(slot.held is not None for slot in slots),
        {node.name: _state(node) for node in alive},
    )


def _state(node: NodeView) -> tuple[int, int | None, float | None]:
    total, free = _number(node, "memory_total"), _number(node, "memory_free")
    used = None if total is None or free is None else total - free
    busy = sum(slot.held is not None for slot in node.slots)
    return busy, used, float(node.about["load"]) if "load" in node.about else None


def _number(node: NodeView, field: str) -> int | None:
    return int(node.about[field]) if field in node.about else None


def _throughput(before: _Look | None, look: _Look | None) -> float | None:
    """Tasks a second that were done in between; None where that cannot be told."""
    if before is None or look is None or look.at <= before.at or look.done < before.done:
        return None
    return round((look.done - before.done) * 1000 / (look.at - before.at), 3)


def _of_node(name: str, looks: Sequence[_Look | None]) -> NodeLoad:
    states = [look.nodes.get(name) if look else None for look in looks]
    return NodeLoad(
        name,
        busy=[state and state[0] for state in states],
        memory=[state and state[1] for state in states],
        load=[state and state[2] for state in states],
    )
