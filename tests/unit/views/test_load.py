"""What is told of the last hour of a cluster."""

from __future__ import annotations

from disco_rq.model import TaskId
from disco_rq.store.viewing import ClusterView, Held, NodeView, SlotView
from disco_rq.views.load import MOST_LOOKS, MOST_POINTS, LoadHistory


def seen(now_ms: int, **done: int) -> ClusterView:
    """A cluster of these nodes with a busy slot each, which have done so many tasks."""
    slot = SlotView("w", now_ms, Held("job", TaskId("map", 0), 1, 0))
    nodes = [
        NodeView(
            name,
            {"done": str(number), "memory_total": "100", "memory_free": "60", "load": "0.5"},
            [slot],
            *(False, False, "", 0),
        )
        for name, number in done.items()
    ]
    return ClusterView(now_ms, "", True, nodes, [], 0, False)


def test_what_nobody_has_seen_is_not_told() -> None:
    history = LoadHistory()
    for cluster in (seen(0, a=10), seen(5_000, a=20, b=5), None, seen(15_000, a=40), seen(20_000, a=30)):
        history.add(cluster)

    told = history.told()

    assert told.at == [0, 5_000, None, 15_000, 20_000]
    assert told.throughput == [None, 3.0, None, None, None]  # the last one: a node was forgotten
    assert told.busy == [1, 2, None, 1, 1]
    node = next(node for node in told.nodes if node.node == "b")
    assert (node.busy, node.memory, node.load) == (
        [None, 1, None, None, None],
        [None, 40, None, None, None],
        [None, 0.5, None, None, None],
    )


def test_an_hour_is_told_in_so_many_points_that_end_with_the_last() -> None:
    history = LoadHistory()
    for second in range(2 * MOST_LOOKS):
        history.add(seen(1_000 * second, a=2 * second))

    told = history.told()

    assert len(told.at) <= MOST_POINTS
    assert told.at[-1] == 1_000 * (2 * MOST_LOOKS - 1)
    assert set(told.throughput) == {None, 2.0}
