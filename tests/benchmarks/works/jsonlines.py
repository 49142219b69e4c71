"""JSON lines in gzip: one number summed for each value of another field."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from isal import igzip

from tests.benchmarks.runners import Runner
from tests.benchmarks.works.wordcount import blocks


def run_json(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """``gzip`` and ``json`` of Python."""
    return _total(runner, _with_json, given)


def run_msgspec(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """``isal`` and ``msgspec``, a dict a line."""
    return _total(runner, _with_msgspec, given)


def run_struct(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """The same, but only the two fields are made, by a type that says so beforehand."""
    return _total(runner, _with_struct, given)


def _total(runner: Runner, sums: Callable[[str], dict[str, int]], given: dict[str, Any]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for some in runner.each(sums, given["paths"]):
        total.update(some)
    return dict(total)


def _with_json(path: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    get, loads = sums.get, json.loads
    with gzip.open(path) as lines:
        for line in lines:
            row = loads(line)
            country = row["country"]
            sums[country] = get(country, 0) + row["cents"]
    return sums


def _with_msgspec(path: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    get, decode = sums.get, msgspec.json.Decoder().decode_lines
    for lines in _unpacked(path):
        for row in decode(lines):
            country = row["country"]
            sums[country] = get(country, 0) + row["cents"]
    return sums


class _Row(msgspec.Struct, gc=False):
    country: str
    cents: int


def _with_struct(path: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    get, decode = sums.get, msgspec.json.Decoder(_Row).decode_lines
    for lines in _unpacked(path):
        for row in decode(lines):
            sums[row.country] = get(row.country, 0) + row.cents
    return sums


def _unpacked(path: str) -> Iterator[bytes]:
    with open(path, "rb") as packed:
        file: Any = igzip.IGzipFile(fileobj=packed)  # type: ignore[no-untyped-call]
        yield from blocks(file)
