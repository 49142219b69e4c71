"""What the verbs print on stdout: pairs, tables, JSON."""

from __future__ import annotations

import io
import json
import math
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any, BinaryIO

import click

from disco_rq.views import figures
from disco_rq.views.lines import AS_IT_CAME, text_of

JSON_DIGITS = sys.int_info.default_max_str_digits
"""Parsers, Python's own among them, refuse numbers of more digits."""


@contextmanager
def printing_any_value() -> Iterator[None]:
    """While inside, this process prints whatever records hold: any text, ints of any size, deep lists."""
    digits, depth = sys.get_int_max_str_digits(), sys.getrecursionlimit()
    sys.set_int_max_str_digits(0)
    sys.setrecursionlimit(max(depth, 10_000))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=AS_IT_CAME)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(digits)
        sys.setrecursionlimit(depth)


class Amount:
    """A number in a table: as people write it on a terminal; in a pipe plain, so that programs sort it."""

    def __init__(self, number: float | None, written: Callable[[float], str], *, digits: int = 0) -> None:
        """None is an empty cell. ``digits``: behind the point, in a pipe."""
        self._number = number
        self._written = written
        self._digits = digits

    def __str__(self) -> str:
        if self._number is None:
            return ""
        if sys.stdout.isatty():
            return self._written(self._number)
        return f"{self._number:.{self._digits}f}"


def count(number: int | None) -> Amount:
    return Amount(number, figures.count)


def size(size_bytes: int | None) -> Amount:
    return Amount(size_bytes, figures.size)


def seconds(ms: float | None) -> Amount:
    """A duration, given in milliseconds: in a pipe in seconds."""
    return Amount(None if ms is None else ms / 1000, lambda s: figures.duration(s * 1000), digits=1)


def share(part: float) -> Amount:
    """A part of one: ``25%``, in a pipe ``0.25``. Only the whole is all of it."""
    return Amount(math.floor(100 * part) / 100, lambda it: f"{round(100 * it)}%", digits=2)


def json_of(value: Any, *, indent: int | None = None) -> str:
    """Any value as JSON that every parser reads; a line on stderr says what JSON has no numbers for."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    """What JSON cannot hold, as the nearest it can.

    Tuples and sets (sorted) are lists, keys text, bytes UTF-8, dates and times as ISO 8601 writes them,
    timedeltas seconds, Decimal and UUID text. NaN and infinities are null, very long ints text. A dict, two
    keys of which are the same text, is a list of ``[key, value]``.
    """
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()  # bytes that were no UTF-8
        case None | bool():
            return value
        case int():
            return value if abs(value) < _TOO_LONG else _long(value)
        case float():
            return value if math.isfinite(value) else _no_number()
        case dict():
            named = {_name(key): _plain(item) for key, item in value.items()}
            return named if len(named) == len(value) else [[_plain(key), _plain(value[key])] for key in value]
        case set() | frozenset():
            return sorted(map(_plain, value), key=repr)
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case date() | time():  # a datetime is a date
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
    return str(value)


_TOO_LONG = 10**JSON_DIGITS


def _name(key: Any) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else str(plain)


def _long(value: int) -> str:
    _say_once(f"ints of more than {JSON_DIGITS} digits are text in JSON")
    return str(value)


def _no_number() -> None:
    _say_once("NaN and infinite numbers are null in JSON")


@cache
def _say_once(what: str) -> None:
    click.echo(f"disco-rq: {what}", err=True)


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


def tell(what: str) -> None:
    """A line for people about what was done; what is read by programs goes to stdout."""
    click.echo(f"disco-rq: {what}", err=True)


def print_json(value: Any) -> None:
    click.echo(json_of(value, indent=2))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A header, always, and the rows: aligned on a terminal; in a pipe fields with tabs between them."""
    texts = [[text_of(cell).decode("utf-8", "replace") for cell in row] for row in rows]
    _print_lines([list(header), *texts])


def print_rows(rows: Iterable[Sequence[Any]]) -> None:
    """Rows of a table for a pipe, without waiting for others."""
    for row in rows:
        click.echo("\t".join(text_of(cell).decode("utf-8", "replace") for cell in row))


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
