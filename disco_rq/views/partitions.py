"""How evenly the reduces share the work."""

from __future__ import annotations

from disco_rq.model import TaskId
from disco_rq.views import shapes
from disco_rq.views.asked import OfJob
from disco_rq.views.jobs import mean_ms
from disco_rq.views.sources import Sources
from disco_rq.views.tasks import is_slow, rows_of

__all__ = ["partitions"]

MOST_PARTITIONS = 1_000
SKEW_FACTOR = 2
"""A partition is skewed that is so many times larger than the mean."""


def partitions(sources: Sources, asked: OfJob) -> shapes.Partitions:
    head = sources.view.job(asked.job).head
    sizes = sources.view.partitions(asked.job)
    number = head.count("nr_reduces")
    total = sum(sizes.values())
    mean = total / number if number else 0.0
    largest = sorted(range(number), key=lambda partition: (-sizes.get(partition, 0), partition))
    shown = sorted(largest[:MOST_PARTITIONS])
    rows = rows_of(sources, head, [TaskId("reduce", partition) for partition in shown])
    mean_duration = mean_ms(head, "reduce")
    listed = [
        shapes.Partition(
            partition=partition,
            bytes=sizes.get(partition, 0),
            task=str(row.task),
            state=row.state,
            duration=row.duration,
            slow=is_slow(row.duration, mean_duration),
            skewed=number > 1 and sizes.get(partition, 0) > SKEW_FACTOR * mean,
        )
        for partition, row in zip(shown, rows, strict=True)
    ]
    return shapes.Partitions(total, mean, number > MOST_PARTITIONS, listed)
