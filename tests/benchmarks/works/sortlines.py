"""Sort of lines into files, one for each range of keys."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from tests.benchmarks.runners import Runner

REDUCES = 4
BOUNDS = [b"%010d" % (10**10 * i // REDUCES) for i in range(1, REDUCES)]


def run(runner: Runner, given: dict[str, Any]) -> Callable[[], str]:
    """Bytes: each file is sorted and cut where a range begins; to sort what is put together merges."""
    directory = tempfile.mkdtemp(prefix="bench-sort-")
    outputs = runner.shuffle(_map, given["paths"], partial(_reduce, directory), REDUCES)

    def answer() -> str:
        result = digest(lines_of(outputs))
        shutil.rmtree(directory)
        return result

    return answer


def _map(path: str) -> list[bytes]:
    with open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    lines.sort()
    cuts = [0, *(bisect_left(lines, bound) for bound in BOUNDS), len(lines)]
    return [b"".join(lines[cuts[i] : cuts[i + 1]]) for i in range(REDUCES)]


def _reduce(directory: str, parts: list[bytes]) -> str:
    lines: list[bytes] = []
    for part in parts:
        lines += part.splitlines(keepends=True)
    lines.sort()
    handle, path = tempfile.mkstemp(dir=directory)
    with os.fdopen(handle, "wb") as file:
        file.writelines(lines)
    return path


def lines_of(paths: Iterable[str]) -> Iterator[bytes]:
    """One file after the other."""
    for path in paths:
        with open(path, "rb") as lines:
            yield from lines


def digest(lines: Iterable[bytes]) -> str:
    """Of the keys in order, and of all lines whatever their order is among equal keys."""
    keys, everything = hashlib.sha1(), 0
    for line in lines:
        keys.update(line[:10])
        everything += int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "little")
    return f"{keys.hexdigest()} {everything}"
