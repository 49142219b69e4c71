"""The data of ``jsonlines`` as Parquet, summed by columns."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow
from pyarrow import parquet

from tests.benchmarks.runners import Runner


def sums(table: Any) -> list[tuple[str, int]]:
    """Of a table, or of one batch as a table."""
    grouped = table.group_by("country").aggregate([("cents", "sum")])
    return list(zip(grouped["country"].to_pylist(), grouped["cents_sum"].to_pylist(), strict=True))


def run(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """A file at a time."""
    total: Counter[str] = Counter()
    for some in runner.each(_of_file, given["paths"]):
        total.update(dict(some))
    return dict(total)


def _of_file(path: str) -> list[tuple[str, int]]:
    pyarrow.set_cpu_count(1)  # there is a process for each CPU
    return sums(parquet.read_table(path, columns=["country", "cents"], use_threads=False))
