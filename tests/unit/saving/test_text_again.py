"""Saved text is text again for the next job, and a result for ``result_iterator``, however it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disco_rq import func
from disco_rq.saving import read_saved
from tests.unit.readers.pieces import read
from tests.unit.saving.test_formats import PAIRS_FORMATS, saved

ODD_STARTS = [
    *(
        "\ufeff",
        "\ufeff\ufeffa",
        "PAR1",
        "PAR1-east",
        "PAR1\x15",
        "BZh91AY&SY",
        "\x1f\udc8b\x08",
        "PK\x03\x04",
    ),
    *("(\udcb5/\udcfd", "\x02!L\x18", "P*M\x18\x01\x00\x00\x00", "x\x01", "\udcff\udcfea", "", "sep=;", "{"),
]


@pytest.mark.parametrize("format", ["text", "text.gz", "text.zst"])
@pytest.mark.parametrize("key", ODD_STARTS)
def test_the_first_key_comes_back_whatever_it_begins_with(tmp_path: Path, format: str, key: str) -> None:
    pairs = [(key, "a\rb"), (key, ""), ("é", " ")]
    made = saved(tmp_path, format, pairs)
    assert list(read_saved(str(made))) == pairs
    assert [tuple(line.split("\t")) for line in read(made, func.map_line_reader)] == pairs


@pytest.mark.parametrize("format", [format for format in PAIRS_FORMATS if format != "parquet"])
def test_a_key_that_begins_like_parquet_is_a_key(tmp_path: Path, format: str) -> None:
    pairs: list[Any] = [("PAR1-east", "1")]
    assert list(read_saved(str(saved(tmp_path, format, pairs)))) == pairs


def test_a_plain_text_has_no_mark(tmp_path: Path) -> None:
    assert saved(tmp_path, "text", [("a", "1"), ("\ufeff", "2")]).read_bytes() == b"a\t1\n\xef\xbb\xbf\t2\n"
