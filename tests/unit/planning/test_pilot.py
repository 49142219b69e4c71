"""Which maps a pilot is made of, and what it says of the others."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable

import pytest

from disco_rq.model import JobSpec
from disco_rq.planning.estimate import Circumstances, Figures, Range, estimate
from disco_rq.planning.pilot import PilotPlan, ToMap, plan_pilot
from disco_rq.planning.suggestions import A_REDUCE_BYTES, Seen, suggestions

EVEN = [ToMap(".txt", 1000)] * 1000


@pytest.mark.parametrize(
    ("wanted", "number"), [(1, 1), (7, 7), (0.01, 10), (0.0001, 1), (0.5, 500), (1000, 1000), (5000, 1000)]
)
def test_a_pilot_is_as_large_as_was_asked_for_and_no_larger_than_the_job(wanted: float, number: int) -> None:
    plan = plan_pilot(EVEN, wanted, "job")

    assert len(plan.maps) == number
    assert sum(rest.maps for rest in plan.rests) == 1000 - number


def test_the_sample_is_the_same_for_the_same_job_and_another_one_for_another() -> None:
    assert plan_pilot(EVEN, 10, "a") == plan_pilot(EVEN, 10, "a")
    assert plan_pilot(EVEN, 10, "a").maps.keys() != plan_pilot(EVEN, 10, "b").maps.keys()


def test_the_sample_is_random_all_over_the_job() -> None:
    chosen = Counter(index // 250 for seed in range(100) for index in plan_pilot(EVEN, 4, str(seed)).maps)

    assert min(chosen.values()) > 60


def test_each_type_of_file_is_in_it() -> None:
    maps = [*EVEN, ToMap(".csv", 1000), ToMap(".json.gz", 1000)]

    assert {kind for kind, _ in plan_pilot(maps, 1, "job").maps.values()} == {".txt", ".csv", ".json.gz"}


def test_names_that_end_in_anything_are_not_each_a_type() -> None:
    maps = [ToMap(f".{n}", 1000) for n in range(500)]

    assert len(plan_pilot(maps, 1, "job").maps) < 20


def test_where_sizes_differ_much_the_large_ones_are_in_it() -> None:
    maps = [*EVEN, ToMap(".txt", 10_000_000)]

    assert 10_000_000 in {size for _, size in plan_pilot(maps, 1, "job").maps.values()}


def test_who_says_nothing_of_its_size_is_taken_for_one_of_the_middle() -> None:
    maps = [ToMap(".txt", 100), ToMap(".txt", 300), ToMap(".txt", 200), ToMap(".txt", None)]

    assert plan_pilot(maps, 4, "job").maps[3] == ToMap(".txt", 200)


def test_a_plan_comes_back_as_it_was_packed() -> None:
    plan = plan_pilot(EVEN, 3, "job")

    assert PilotPlan.unpack(plan.pack()) == plan


# -- the estimate


def figures(plan: PilotPlan, seconds: Callable[[int], float]) -> dict[int, Figures]:
    return {index: Figures(seconds(index), 100, 100, 5000) for index in plan.maps}


def test_equal_maps_take_their_number_by_the_slots() -> None:
    plan = plan_pilot(EVEN, 10, "job")

    told = estimate(plan, figures(plan, lambda _: 2.0), Circumstances(slots=4, nr_reduces=0))

    assert told.seconds.expected == pytest.approx(990 * 2 / 4, rel=0.01)
    assert told.seconds.high / told.seconds.low < 1.2
    assert told.bytes.expected == pytest.approx(5_000_000)
    assert (told.reduce_seconds.expected, told.skew) == (0, None)


def test_what_a_map_reads_counts_and_not_how_many_there_are() -> None:
    maps = [ToMap(".txt", 1000 * (1 + index % 7)) for index in range(700)]
    plan = plan_pilot(maps, 20, "job")

    told = estimate(plan, figures(plan, lambda i: (maps[i].size or 0) / 1000), Circumstances(1, 0))

    left = sum((size or 0) / 1000 for i, (_, size) in enumerate(maps) if i not in plan.maps)
    assert told.map_seconds.expected == pytest.approx(left, rel=0.01)


def test_each_type_of_file_has_a_pace_of_its_own() -> None:
    maps = [ToMap(".gz", 1000), ToMap(".txt", 1000)] * 100
    plan = plan_pilot(maps, 20, "job")

    told = estimate(plan, figures(plan, lambda i: 5.0 if i % 2 == 0 else 1.0), Circumstances(1, 0))

    left = sum(5.0 if i % 2 == 0 else 1.0 for i in range(200) if i not in plan.maps)
    assert told.map_seconds.expected == pytest.approx(left, rel=0.05)


def test_one_large_map_takes_as_long_as_it_does_on_however_many_slots() -> None:
    maps = [*[ToMap(".txt", 1000)] * 100, ToMap(".txt", 500_000), ToMap(".txt", 500_000)]
    plan = plan_pilot(maps, 5, "job")

    told = estimate(plan, figures(plan, lambda i: (maps[i].size or 0) / 1000), Circumstances(1000, 0))

    assert told.map_seconds.low <= 500 <= told.map_seconds.high


def test_a_sample_of_one_map_says_little() -> None:
    plan = plan_pilot(EVEN, 1, "job")

    told = estimate(plan, figures(plan, lambda _: 1.0), Circumstances(1, 0))

    assert told.seconds.high / told.seconds.low == pytest.approx(16)


def test_maps_that_are_checked_run_twice() -> None:
    plan = plan_pilot(EVEN, 10, "job")
    once = estimate(plan, figures(plan, lambda _: 1.0), Circumstances(1, 0))

    told = estimate(plan, figures(plan, lambda _: 1.0), Circumstances(1, 0, check=0.5))

    assert told.seconds.expected == pytest.approx(once.seconds.expected + 500, rel=0.01)


def test_maps_that_were_done_before_take_no_time_and_gave_their_bytes() -> None:
    plan = plan_pilot(EVEN, 10, "job")

    told = estimate(plan, figures(plan, lambda _: 1.0), Circumstances(1, 0, left=0.1))

    assert told.seconds.expected == pytest.approx(99, rel=0.01)
    assert told.bytes.expected == pytest.approx(5_000_000)


def test_where_all_maps_are_in_it_the_reduces_are_left() -> None:
    plan = plan_pilot(EVEN[:10], 10, "job")

    told = estimate(
        plan, figures(plan, lambda _: 1.0), Circumstances(2, 2, bytes=50_000, largest_bytes=40_000)
    )

    assert told.map_seconds == Range(0, 0, 0)
    assert told.skew == pytest.approx(1.6)
    assert 0 < told.reduce_seconds.low < told.reduce_seconds.expected < told.reduce_seconds.high


def lognormal(chance: random.Random) -> tuple[ToMap, float]:
    size = chance.lognormvariate(14, 1.5)
    return ToMap(".txt", int(size)), 0.05 + size * 1e-6 * chance.uniform(0.8, 1.2)


def unrelated(chance: random.Random) -> tuple[ToMap, float]:
    return ToMap(".txt", 1_000_000), chance.uniform(1, 20)


def by_kind(chance: random.Random) -> tuple[ToMap, float]:
    kind, pace = chance.choice([(".gz", 5e-6), (".txt", 1e-6)])
    size = chance.lognormvariate(13, 1)
    return ToMap(kind, int(size)), size * pace * chance.lognormvariate(0, 0.2)


def untold(chance: random.Random) -> tuple[ToMap, float]:
    return ToMap("", None), chance.uniform(1, 10)


@pytest.mark.parametrize("make", [lognormal, unrelated, by_kind, untold])
@pytest.mark.parametrize(("maps", "wanted"), [(200, 0.05), (1000, 0.01), (60, 5)])
def test_the_range_holds_the_real_time_in_nine_of_ten_jobs(
    make: Callable[[random.Random], tuple[ToMap, float]], maps: int, wanted: float
) -> None:
    held = 0
    for seed in range(100):
        chance = random.Random(seed)
        made = [make(chance) for _ in range(maps)]
        seconds = [took for _, took in made]
        plan = plan_pilot([to_map for to_map, _ in made], wanted, str(seed))
        told = estimate(plan, figures(plan, seconds.__getitem__), Circumstances(3, 0)).seconds
        real = spread([seconds[i] for i in range(maps) if i not in plan.maps], slots=3)
        held += told.low <= real <= told.high

    assert held >= 90


def spread(durations: list[float], slots: int) -> float:
    """When the last slot is through, each of which takes the next task when it is free."""
    free_at = [0.0] * slots
    for took in durations:
        heapq.heapreplace(free_at, free_at[0] + took)
    return max(free_at)


# -- suggestions


def suggested(maps: list[ToMap], seconds: float, now: Circumstances, bytes: int = 5000) -> str:
    plan = plan_pilot(maps, 5, "job")
    seen = {index: Figures(seconds, 100, 100, bytes) for index in plan.maps}
    spec = JobSpec("job", len(maps), now.nr_reduces, has_map=True, has_reduce=now.nr_reduces > 0)
    return "; ".join(suggestions(Seen(spec, plan, seen, now, estimate(plan, seen, now))))


def test_a_job_that_fits_is_left_as_it_is() -> None:
    assert suggested(EVEN, 1.0, Circumstances(4, 0)) == ""


def test_more_reduces_are_suggested_where_each_would_read_too_much() -> None:
    now = Circumstances(4, 2, bytes=100, largest_bytes=50)

    assert suggested(EVEN, 1.0, now, bytes=10_000_000).startswith(
        f"nr_reduces={-(-10_000_000_000 // A_REDUCE_BYTES)}: "
    )


def test_fewer_reduces_are_suggested_where_each_would_read_next_to_nothing() -> None:
    assert suggested(EVEN, 1.0, Circumstances(4, 100)).startswith("nr_reduces=4: ")


def test_skew_is_named() -> None:
    now = Circumstances(4, 10, bytes=100, largest_bytes=80)

    assert "partition: the largest has 8.0 times as much as the mean one" in suggested(
        EVEN, 1.0, now, 10_000_000
    )


def test_a_combiner_is_suggested_where_keys_repeat() -> None:
    plan = plan_pilot(EVEN, 5, "job")
    seen = {index: Figures(1.0, 100, 100, 10_000_000, repeats=12.0) for index in plan.maps}
    spec, now = JobSpec("job", 1000, 40, has_map=True, has_reduce=True), Circumstances(40, 40)

    [told] = suggestions(Seen(spec, plan, seen, now, estimate(plan, seen, now)))

    assert told.startswith("combiner: a map gives some 12 pairs for a key")


def test_maps_that_take_no_time_should_read_more() -> None:
    assert suggested(EVEN, 0.002, Circumstances(4, 0)).startswith("files_per_task, or a larger split_size: ")


def test_a_map_that_reads_most_of_it_should_be_cut() -> None:
    maps = [*EVEN[:50], ToMap(".txt", 400 << 20), ToMap(".txt", 400 << 20)]

    assert "split_size=" in suggested(maps, 1.0, Circumstances(40, 0))
