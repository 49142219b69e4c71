"""Values that an output cannot hold: each output says which, at which key; all others come out whole."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from disco_rq import JobError
from disco_rq.cli.output import printing_any_value, write_pairs
from tests.cluster.conftest import Rows

CUT = json.loads('"cut \\ud83d"')
"""Half an emoji, as texts that were cut have it."""
MANY = 10**5000


@pytest.mark.parametrize(
    ("format", "pair", "told"),
    [
        ("parquet", (CUT, 1), r"parquet does not hold a key with the type str .*'cut \\ud83d'"),
        ("parquet", ("caf\udce9", 1), r"parquet does not hold a key with the type str .*'caf\\udce9'"),
        ("parquet", ("k", "caf\udce9"), r"parquet does not hold a value with the type str .*of key 'k'"),
        (
            "parquet",
            ("t", datetime(2024, 1, 1, tzinfo=UTC)),
            "a value with the type datetime in one column with str .*of key 't'",
        ),
        ("parquet", ("n", MANY), "parquet does not hold a value with the type int .*of key 'n'"),
        ("text", (CUT, 1), r"text does not hold a key with the type str .*'cut \\ud83d'"),
        ("text", ("k", CUT), "text does not hold a value with the type str .*of key 'k'"),
        ("jsonl", ("k", {1: 2}), "jsonl does not hold a value with the type dict .*of key 'k'"),
        ("jsonl", ("n", MANY), "jsonl does not hold a value with the type int of more than .*of key 'n'"),
        ("jsonl", ("k", b"x"), "jsonl does not hold a value with the type bytes .*of key 'k'"),
    ],
)
def test_what_a_format_does_not_hold_is_told_by_format_type_and_key(
    rows: Rows, tmp_path: Path, format: Any, pair: tuple[Any, Any], told: str
) -> None:
    def map(line: str, params: Any) -> Iterator[Any]:
        yield "before", pair[1] if isinstance(pair[1], int) and pair[1] == 1 else "x"
        yield pair

    with pytest.raises(JobError, match=f"RecordTypeError: .*{told}") as caught:
        rows(["raw://x"], map=map, save=str(tmp_path / "out"), save_format=format)
    assert "Traceback" not in str(caught.value)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("format", "pair", "read"),
    [
        ("msgpack", (CUT, MANY), (CUT, MANY)),
        (
            "msgpack",
            ("caf\udce9", datetime(2024, 1, 1, tzinfo=UTC)),
            ("caf\udce9", datetime(2024, 1, 1, tzinfo=UTC)),
        ),
        ("text", ("caf\udce9", "\udcff"), ("caf\udce9", "\udcff")),
        ("text", ("n", MANY), ("n", "1" + "0" * 5000)),
        ("jsonl", (CUT, "caf\udce9"), (CUT, "caf\udce9")),
    ],
)
def test_what_a_format_holds_comes_back(
    rows: Rows, tmp_path: Path, format: Any, pair: tuple[Any, Any], read: tuple[Any, Any]
) -> None:
    def map(line: str, params: Any) -> list[Any]:
        return [pair]

    assert rows(["raw://x"], map=map, save=str(tmp_path / "out"), save_format=format) == [read]


def test_every_pair_is_printed(rows: Rows) -> None:
    pairs = [(CUT, 1), ("caf\udce9", {1, 2}), ("n", MANY), ("nan", float("nan")), (b"x", None), ((1,), [CUT])]

    def map(line: str, params: Any) -> list[Any]:
        return pairs

    found = rows(["raw://x"], map=map)
    text, lines = io.BytesIO(), io.BytesIO()
    with printing_any_value():
        write_pairs(found, text, as_json=False)
        write_pairs(found, lines, as_json=True)
    assert text.getvalue().startswith(b"cut \\ud83d\t1\ncaf\xe9\t{1, 2}\nn\t1000")
    printed = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [key for key, _ in printed] == ["cut \\ud83d", "caf\\udce9", "n", "nan", "x", [1]]
    assert printed[3] == ["nan", None]
