"""Saved results as lines: ``{"key":…,"value":…}`` of JSON, or ``key<TAB>value`` of text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData, RecordTypeError, WrongContent
from disco_rq.inputs.content import codec_of
from disco_rq.readers import UTF_8_BOM, refuse_other_than_text
from disco_rq.records import read_pairs
from disco_rq.saving.refusal import refusal

__all__ = ["as_text", "read_jsonl", "read_text", "refuse_other_bytes", "write_jsonl", "write_text"]

TEXT = {str, int, float}
_SCALARS = {type(None), bool, int, float, str}
_DIGITS = sys.int_info.default_max_str_digits
_TOO_LONG = 10**_DIGITS
"""Python itself, and other readers of JSON, refuse ints of more digits."""


def write_jsonl(records: Path, out: BinaryIO) -> None:
    """A line for each pair. Raises ``RecordTypeError`` for what JSON would give back as something else."""
    for key, value in read_pairs(records):
        _check_json(key, "key", key)
        _check_json(value, "value", key)
        pair = {"key": key, "value": value}
        try:
            line = json.dumps(pair, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except RecursionError as error:
            raise refusal("jsonl", "value", value, key, " so deeply nested") from error
        try:
            data = line.encode()
        except UnicodeEncodeError:  # lone surrogates
            data = json.dumps(pair, separators=(",", ":")).encode()
            found = json.loads(data)
            for what, item in pair.items():
                if found[what] != item:
                    raise refusal("jsonl", what, item, key, " with both halves of a surrogate pair") from None
        out.write(data + b"\n")


def _check_json(value: Any, what: str, key: Any) -> None:
    """Refuse what JSON would give back as another type, or its readers refuse."""
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is list:
                inner += item
            elif kind is dict:
                if any(type(name) is not str for name in item):
                    raise refusal("jsonl", what, item, key, " with keys that are not str")
                inner += item.values()
            elif kind not in _SCALARS:
                raise refusal("jsonl", what, item, key)
            elif kind is float and not isfinite(item):
                raise refusal("jsonl", what, item, key, f", {item}")
            elif kind is int and abs(item) >= _TOO_LONG:
                raise refusal("jsonl", what, item, key, f" of more than {_DIGITS} digits")
        level = inner


def read_jsonl(file: BinaryIO, name: str) -> Iterator[Any]:
    """The pairs. Raises ``CorruptData`` naming the line that is none."""
    for number, line in enumerate(file, 1):
        try:
            pair = json.loads(line)
            yield pair["key"], pair["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptData(f"line {number} of {name} is no saved pair: {error}", name) from error


def write_text(records: Path, out: BinaryIO) -> None:
    """A line for each pair. Raises ``RecordTypeError`` for what a line does not hold.

    A mark of UTF-8 comes first where the file would else begin with one, or like none of text.
    """
    is_begun = False
    for key, value in read_pairs(records):
        line = f"{as_text('text', 'key', key, key)}\t{as_text('text', 'value', value, key)}\n"
        if line.count("\n") > 1 or line.endswith("\r\n") or (type(key) is str and "\t" in key):
            raise RecordTypeError(
                "text does not hold a str with a newline, a value that ends with a return, nor a key with a "
                f"tab: {line[:100]!r}; another save_format does"
            )
        try:
            data = line.encode()
        except UnicodeEncodeError:
            refuse_other_bytes("text", "key", key, key)
            refuse_other_bytes("text", "value", value, key)
            data = line.encode("utf-8", "surrogateescape")
        if not is_begun:
            is_begun = True
            out.write(UTF_8_BOM if _is_mistaken(data) else b"")
        out.write(data)


def _is_mistaken(head: bytes) -> bool:
    """Whether a text that begins so would lose its start to a reader, or be taken for something else."""
    try:
        refuse_other_than_text(head, "it")
        return head.startswith(UTF_8_BOM) or codec_of(head, None) is not None
    except (WrongContent, ValueError):
        return True


def as_text(format: str, what: str, item: Any, key: Any) -> str:
    """A str, int or float as text. ``RecordTypeError`` for another type."""
    if type(item) not in TEXT:
        raise refusal(format, what, item, key)
    try:
        return str(item)
    except ValueError:  # more digits than Python writes unless it is told to
        return _all_digits(item)


def refuse_other_bytes(format: str, what: str, item: Any, key: Any) -> None:
    """``RecordTypeError`` for a text that is neither Unicode nor bytes that were no UTF-8."""
    text = as_text(format, what, item, key)
    try:
        is_same = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
    except UnicodeEncodeError as error:
        raise refusal(format, what, item, key, " with half of a surrogate pair") from error
    if not is_same:
        raise refusal(format, what, item, key, " with escaped bytes that are UTF-8 together")


def _all_digits(item: Any) -> str:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(item)
    finally:
        sys.set_int_max_str_digits(limit)


def read_text(file: BinaryIO, name: str) -> Iterator[Any]:
    """The pairs, as text. Raises ``CorruptData`` naming the line that is none."""
    for number, line in enumerate(file, 1):
        if number == 1:
            line = line.removeprefix(UTF_8_BOM)
        key, tab, value = line.decode("utf-8", "surrogateescape").partition("\t")
        if not tab or not value.endswith("\n"):
            raise CorruptData(f"line {number} of {name} is no saved pair, or cut off", name)
        yield key, value[:-1]
