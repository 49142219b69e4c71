"""What one task may put and count: so much that its commit does not keep Redis from the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from disco_rq import runtime
from disco_rq.errors import OOBQuotaExceeded
from disco_rq.model import COUNTER_QUOTA, OOB_BYTES
from disco_rq.runtime import enter_task
from tests.unit.ground.test_runtime import StandIn, task_of

MIB = 1 << 20


@pytest.fixture
def services() -> Iterator[StandIn]:
    stand_in = StandIn()
    enter_task(task_of(stand_in))
    yield stand_in
    enter_task(None)


def test_the_results_of_a_task_take_so_many_bytes_in_all(services: StandIn) -> None:
    fit = OOB_BYTES // (MIB + 100)
    for i in range(fit):
        runtime.put(f"k{i}", b"x" * MIB)

    with pytest.raises(OOBQuotaExceeded, match=r"'one-more'.*16 MiB in all.*map:3"):
        runtime.put("one-more", b"x" * MIB)
    assert len(services.counts) == fit
    runtime.put("small", "a refused one does not count")


def test_a_job_with_larger_values_may_put_one_of_them(services: StandIn) -> None:
    enter_task(task_of(services, oob_value_limit=2 * OOB_BYTES))

    runtime.put("large", b"x" * 2 * OOB_BYTES)

    with pytest.raises(OOBQuotaExceeded):
        runtime.put("another", b"x" * 2 * OOB_BYTES)


def test_a_task_counts_under_so_many_names(services: StandIn) -> None:
    for i in range(COUNTER_QUOTA):
        runtime.counter(f"c{i}")
    runtime.counter("c0", 5)

    with pytest.raises(ValueError, match=r"'one more'.*1000 counters"):
        runtime.counter("one more")


def test_the_name_of_a_counter_has_at_most_256_characters(services: StandIn) -> None:
    runtime.counter("x" * 256)

    with pytest.raises(ValueError, match="at most 256 characters"):
        runtime.counter("x" * 257)
