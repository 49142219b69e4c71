"""Inputs of the benchmarks: seeded, and made where they are not there yet."""

from __future__ import annotations

import gzip
import json
import random
import statistics
import string
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

KEPT = Path(tempfile.gettempdir()) / "disco-rq-bench"
"""Where runs that keep their inputs find them again."""
WORDS = 60_000
BLOCKS = 48
BLOCK_BYTES = 256 << 10
LINE_WORDS = 10
RECORD_BYTES = 100


class Text:
    """Files of lines of words, a few words frequent and many rare, with the count of every word known."""

    def __init__(self, directory: Path, size_bytes: int, nr_files: int) -> None:
        self._blocks = _blocks()
        of_file = max(1, size_bytes // nr_files // BLOCK_BYTES)
        rnd = random.Random(size_bytes)
        self._order = [[rnd.randrange(BLOCKS) for _ in range(of_file)] for _ in range(nr_files)]
        self.paths = [directory / f"text-{size_bytes}-{nr_files}-{i}.txt" for i in range(nr_files)]
        for path, order in zip(self.paths, self._order, strict=True):
            if not path.exists():
                _write_lines(path, [self._blocks[i] for i in order])

    def counts(self) -> dict[str, int]:
        """How often each word is in the files."""
        uses = Counter(i for order in self._order for i in order)
        total: Counter[str] = Counter()
        for i, times in uses.items():
            for word, number in Counter(self._blocks[i].split()).items():
                total[word] += number * times
        return dict(total)


@cache
def _blocks() -> list[str]:
    rnd = random.Random(7)
    letters = string.ascii_lowercase
    words = ["".join(rnd.choices(letters, k=rnd.randint(2, 11))) for _ in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    blocks = []
    for _ in range(BLOCKS):
        drawn = rnd.choices(words, weights, k=BLOCK_BYTES // 6)
        lines = [" ".join(drawn[i : i + LINE_WORDS]) + "\n" for i in range(0, len(drawn), LINE_WORDS)]
        blocks.append("".join(lines))
    return blocks


def records(directory: Path, size_bytes: int, nr_files: int) -> list[Path]:
    """Files of 100-byte lines, each with ten random digits in front."""
    paths = [directory / f"records-{size_bytes}-{nr_files}-{i}.txt" for i in range(nr_files)]
    rnd = random.Random(9)
    rests = ["".join(rnd.choices(string.ascii_letters, k=RECORD_BYTES - 12)) for _ in range(1000)]
    for path in paths:
        if not path.exists():
            number = size_bytes // nr_files // RECORD_BYTES
            _write_lines(path, [f"{rnd.randrange(10**10):010d} {rnd.choice(rests)}\n" for _ in range(number)])
    return paths


COUNTRIES = 200
JSON_LINES = 20_000
"""Different ones; a file has them again and again, in an order of its own."""


def sales(directory: Path, size_bytes: int, nr_files: int, ending: str) -> tuple[list[Path], dict[str, int]]:
    """Rows of eight fields as ``.jsonl.gz`` (``size_bytes`` unpacked) or ``.parquet``; the cents of each."""
    rnd = random.Random(11)
    rows = [_sale(rnd) for _ in range(JSON_LINES)]
    lines = [json.dumps(row) + "\n" for row in rows]
    of_file = int(size_bytes / nr_files / statistics.mean(map(len, lines)))
    total: Counter[str] = Counter()
    paths = []
    for number in range(nr_files):
        order = random.Random(number).choices(range(JSON_LINES), k=of_file)
        for i in order:
            total[rows[i]["country"]] += rows[i]["cents"]
        path = directory / f"sales-{size_bytes}-{nr_files}-{number}{ending}"
        paths.append(path)
        if path.exists():
            continue
        if ending == ".parquet":
            table = pyarrow.Table.from_pylist([rows[i] for i in order])
            _write(path, lambda aside, table=table: parquet.write_table(table, aside, row_group_size=100_000))  # type: ignore[misc]
        else:
            text = "".join([lines[i] for i in order]).encode()
            _write(path, lambda aside, text=text: aside.write_bytes(gzip.compress(text, 6, mtime=0)))  # type: ignore[misc]
    return paths, dict(total)


def _sale(rnd: random.Random) -> dict[str, Any]:
    return {
        "id": rnd.randrange(10**9),
        "time": f"2026-{rnd.randint(1, 12):02d}-{rnd.randint(1, 28):02d}T{rnd.randint(0, 23):02d}:00:00Z",
        "country": f"country-{int(rnd.paretovariate(0.8)) % COUNTRIES}",
        "cents": rnd.randrange(100_000),
        "customer": "".join(rnd.choices(string.ascii_letters, k=16)),
        "paid": rnd.random() < 0.9,
        "rate": round(rnd.random(), 6),
        "tags": rnd.sample(["new", "gift", "web", "shop", "late"], 2),
    }


def _write_lines(path: Path, texts: list[str]) -> None:
    _write(path, lambda aside: aside.write_text("".join(texts)))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Make the file whole or not at all."""
    aside = path.with_suffix(".aside")
    write(aside)
    aside.rename(path)
