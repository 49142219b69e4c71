"""The pairs of a task, split by what ``save_by`` says: each once, in order, never out of the directory."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import TaskError
from disco_rq.records import read_pairs
from disco_rq.saving import split
from disco_rq.saving.names import problem_with
from disco_rq.saving.split import Split
from tests.unit.saving.test_formats import record_file


def test_each_name_has_its_pairs_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are put aside many times on the way."""
    monkeypatch.setattr(split, "_AT_ONCE_BYTES", 1000)
    made = random.Random(1)
    pairs = [(made.randrange(20), (i, "x" * made.randrange(30))) for i in range(5000)]
    records = record_file(tmp_path, pairs, at_once=50)

    found = Split(records, lambda key, value: f"key={key}/b", tmp_path)

    assert found.names == sorted({f"key={key}/b" for key, _ in pairs})
    for name in found.names:
        path = found.record_file(name)
        assert list(read_pairs(path)) == [pair for pair in pairs if f"key={pair[0]}/b" == name]
        path.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


@pytest.mark.parametrize(
    "name", ["day=2026-11-29", "a=1/b=2", "ä b", "a..b", "_x", "C:\\x", "x::y", "[a]*?", "%2e"]
)
def test_what_may_be_a_name(name: str) -> None:
    assert problem_with(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "it must answer a str, not NoneType"),
        (b"a", "it must answer a str, not bytes"),
        ("", "is not empty"),
        ("/etc", "does not begin with /"),
        ("a//b", "between two / there must be something"),
        ("a/", "between two / there must be something"),
        ("s3://other/x", "between two / there must be something"),
        ("..", ".. is no name of a directory"),
        ("a/../../b", ".. is no name of a directory"),
        ("./a", ". is no name of a directory"),
        ("a\0b", "no control characters"),
        ("a\nb", "no control characters"),
        ("\ud83d", "without lone surrogates"),
        (".hidden", ".hidden is a name that readers of a directory leave out"),
        ("a/_temporary", "_temporary is a name that readers of a directory leave out"),
        ("a/part-00000.jsonl", "part-00000.jsonl is what a saved file is called"),
        ("ä" * 128, "the name of one directory takes at most 255 bytes"),
        ("a/" * 500 + "a", "it takes 1,001 bytes, and 700 are allowed"),
    ],
)
def test_what_is_no_name_is_refused_with_function_key_and_value(tmp_path: Path, name: Any, why: str) -> None:
    def by_nothing(key: Any, value: Any) -> Any:
        return name

    with pytest.raises(TaskError) as caught:
        Split(record_file(tmp_path, [("k", 7)]), by_nothing, tmp_path)
    told = str(caught.value)
    assert told.startswith("save_by answered ")
    assert "for the key 'k' with the value 7: " in told
    assert why in told
    assert "by_nothing at test_split.py:" in told


def test_a_task_has_a_thousand_names_and_no_more(tmp_path: Path) -> None:
    assert (
        len(
            Split(
                record_file(tmp_path, [(i, i) for i in range(1000)]), lambda key, _: f"{key}", tmp_path
            ).names
        )
        == 1000
    )
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(TaskError, match=r"answered '1000' for the key 1000 .*: a task may have 1,000 names"):
        Split(record_file(tmp_path, [(i, i) for i in range(1001)]), lambda key, _: f"{key}", tmp_path)


def test_what_the_function_raises_is_told_with_the_pair(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Split(record_file(tmp_path, [("k", 0)]), lambda key, value: f"{1 / value}", tmp_path)
    assert caught.value.__notes__ == ["in save_by for the key 'k' with the value 0"]
