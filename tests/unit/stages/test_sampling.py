"""For how many keys each of a sample stands."""

from __future__ import annotations

from collections import Counter

from disco_rq.inputs.probing import Probe
from disco_rq.model import Input
from disco_rq.stages.sampling import Seen, weighed


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
