"""For how many keys each of a sample stands."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from disco_rq.inputs.probing import Probe
from disco_rq.model import Input, MapInput
from disco_rq.stages.sampling import Sample, Seen, weighed


def seen(
    key: str, number: int, *, is_whole: bool = True, size: int | None = 1000, weight: float = 1.0
) -> Seen:
    probe = Probe(0, (Input("file"),), weight, size=size)
    return Seen(probe, [key] * min(number, 4), number, is_whole)


def weights(*places: Seen) -> dict[str, float]:
    found: Counter[str] = Counter()
    for key, weight in weighed(places):
        found[key] += weight  # type: ignore[assignment]
    return {key: round(weight, 6) for key, weight in found.items()}


def test_a_place_that_was_read_whole_weighs_its_keys() -> None:
    assert weights(seen("few", 2), seen("many", 100, weight=3.0)) == {"few": 2, "many": 300}


def test_a_place_where_the_map_is_slow_weighs_as_much_for_its_bytes_as_the_others() -> None:
    slow = seen("slow", 3, is_whole=False, size=2000)
    assert weights(seen("fast", 100), slow) == {"fast": 100, "slow": 200}


def test_where_all_are_slow_all_weigh_the_same_for_their_bytes() -> None:
    places = [seen(key, number, is_whole=False) for key, number in (("a", 3), ("b", 50), ("c", 7))]
    assert weights(*places) == {"a": 50, "b": 50, "c": 50}


def test_a_place_weighs_no_less_than_the_keys_that_were_seen() -> None:
    assert weights(seen("thin", 10), seen("dense", 400, is_whole=False)) == {"thin": 10, "dense": 400}


def test_a_place_of_unknown_size_weighs_what_was_seen() -> None:
    assert weights(seen("a", 100), seen("b", 5, is_whole=False, size=None)) == {"a": 100, "b": 5}


def test_a_place_without_keys_weighs_nothing() -> None:
    assert weights(seen("a", 100), seen("b", 0, is_whole=False), seen("c", 0)) == {"a": 100}


@pytest.mark.parametrize(("place_s", "places"), [(0.01, 64), (0.03, 34), (0.2, 20), (0.4, 20)])
def test_of_slow_places_four_a_range_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, place_s: float, places: int
) -> None:
    clock = [0.0]

    def look_at(sample: Sample, probe: Probe, _limit_s: float, _most: int) -> None:
        clock[0] += place_s
        sample._seen.append(Seen(probe, ["key"] * 100, 100, True))

    monkeypatch.setattr("disco_rq.stages.sampling.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Sample, "_look_at", look_at)
    work: Any = SimpleNamespace(spec=SimpleNamespace(nr_partitions=5))
    sample = Sample(work, opener=None, enter=lambda *_: None)  # type: ignore[arg-type]
    sample._look([(i, MapInput(((Input(f"raw://{i}"),),))) for i in range(64)], 0.0)
    assert len(sample._seen) == places
