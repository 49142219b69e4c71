"""A shuffle through files, for runners that bring none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

Mapped = Callable[[tuple[int, Any]], None]


@contextmanager
def stages(
    maps: Callable[[Any], list[bytes]], items: Sequence[Any], reduce: Callable[[list[bytes]], Any]
) -> Iterator[tuple[Mapped, Callable[[int], Any]]]:
    """A map of ``(number, item)`` and a reduce of a partition's number, with a directory in between."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield partial(_map, directory, maps), partial(_reduce, directory, reduce, len(items))
    finally:
        shutil.rmtree(directory)


def _map(directory: Path, maps: Callable[[Any], list[bytes]], numbered: tuple[int, Any]) -> None:
    number, item = numbered
    for part, packed in enumerate(maps(item)):
        (directory / f"{number}-{part}").write_bytes(packed)


def _reduce(directory: Path, reduce: Callable[[list[bytes]], Any], files: int, part: int) -> Any:
    return reduce([(directory / f"{number}-{part}").read_bytes() for number in range(files)])
