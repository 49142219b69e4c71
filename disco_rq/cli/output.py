"""What the verbs print on stdout: pairs, tables, JSON."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def text_of(value: Any) -> bytes:
    """One field of a ``key<TAB>value`` line. Tabs and line ends are escaped: a pair stays one line."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return str(value).translate(ESCAPES).encode("utf-8", "surrogateescape")


def json_of(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, indent=indent)


def _plain(value: Any) -> Any:
    """What JSON cannot hold, as the nearest it can: keys as text, sets as sorted lists, bytes as UTF-8."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(_plain(key)): _plain(item) for key, item in value.items()
        }
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()  # bytes that were no UTF-8 in the input
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value


def write_pairs(pairs: Iterable[tuple[Any, Any]], out: BinaryIO, *, as_json: bool) -> int:
    """Write one line for each pair; returns how many there were."""
    count = 0
    for key, value in pairs:
        line = json_of([key, value]).encode() if as_json else text_of(key) + b"\t" + text_of(value)
        out.write(line + b"\n")
        count += 1
    out.flush()
    return count


def check_reader() -> None:
    """Raise ``BrokenPipeError`` if nobody reads stdout any more, for who has nothing to write just now."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError


def print_json(value: Any) -> None:
    click.echo(json_of(value, indent=2))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A header, always, and the rows: aligned on a terminal; in a pipe fields with tabs between them."""
    texts = [[text_of(cell).decode("utf-8", "replace") for cell in row] for row in rows]
    _print_lines([list(header), *texts])


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Names and values, laid out like a table, without a header."""
    _print_lines([[name, text_of(value).decode("utf-8", "replace")] for name, value in facts])


def _print_lines(lines: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():
        for line in lines:
            click.echo("\t".join(line))
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def local_time(timestamp_s: float) -> str:
    return datetime.fromtimestamp(timestamp_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
