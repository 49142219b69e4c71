"""Whether two maps read the same, as far as it can be told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from disco_rq.inputs.sameness import CannotTellInput, input_key, is_same_file
from disco_rq.model import Identity, Input, MapInput

FILE = Identity(10, inode=5, mtime_ns=7, tail=3, machine="here")
WEB = Identity(10, tag='ETag="abc"')


def entry(url: str = "/data/a", identity: Identity | None = FILE, **more: object) -> MapInput:
    return MapInput(((Input(url, identity=identity, **more),),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        entry("/data/b"),
        entry(start=4),
        entry(length=4),
        entry(is_whole=True),
        entry(identity=replace(FILE, size=11)),
        entry(identity=replace(FILE, mtime_ns=8)),
        entry(identity=replace(FILE, tail=4)),
        MapInput((*entry().parts, *entry().parts)),
        MapInput(((*entry().parts[0], *entry("/data/b").parts[0]),)),
    ],
)
def test_what_is_another_piece_or_file_has_another_key(other: MapInput) -> None:
    assert input_key(entry()) == input_key(entry())
    assert input_key(entry()) != input_key(other)


def test_another_machine_sees_the_same_file_by_size_time_and_end() -> None:
    there = entry(identity=replace(FILE, machine="there", inode=99))

    assert input_key(entry()) == input_key(there)
    assert is_same_file(entry(), there)


def test_a_file_in_the_place_of_another_is_another() -> None:
    replaced = entry(identity=replace(FILE, inode=6))

    assert input_key(entry()) == input_key(replaced)
    assert not is_same_file(entry(), replaced)


def test_a_tag_tells_and_a_weak_one_as_well() -> None:
    def tagged(tag: str) -> bytes:
        return input_key(entry("http://x/a", replace(WEB, tag=tag)))

    assert tagged('ETag="abc"') != tagged('ETag="abd"')
    assert tagged('ETag=W/"abc"') == tagged('ETag="abc"')


@pytest.mark.parametrize("url", ["raw://a b", "disco://n1/job@20260101-000000-aaaa/map-0.1"])
def test_what_never_changes_needs_no_more(url: str) -> None:
    assert input_key(entry(url, None)) == input_key(entry(url, None))


def test_records_that_travel_are_told_by_what_they_are() -> None:
    assert input_key(entry("held://", None, data=b"1")) != input_key(entry("held://", None, data=b"2"))


@pytest.mark.parametrize("identity", [None, Identity(10), Identity(None, tag="x")])
def test_what_nothing_tells_is_said_without_passwords(identity: Identity | None) -> None:
    with pytest.raises(CannotTellInput, match=r"nothing tells whether http://.*x/a is what it was"):
        input_key(entry("http://me:secret@x/a", identity))
    with pytest.raises(CannotTellInput) as told:
        input_key(entry("http://me:secret@x/a", identity))
    assert "secret" not in str(told.value)
