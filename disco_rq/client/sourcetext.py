"""What the functions of a job say in their files, kept with its spec for who looks at the job later."""

from __future__ import annotations

import functools
import linecache
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from disco_rq.model import Functions, readable
from disco_rq.packing.localcode import is_local_file
from disco_rq.redact import redact

__all__ = ["source_texts"]

FUNCTION_CHARS = 8 << 10
MOST_CHARS = 24 << 10
"""Of one function, and of all of a job: its spec is read for every batch."""
_EXAMPLES = str(Path(__file__).parents[1] / "examples")
_CLOSING = frozenset(")]}")


def source_texts(functions: Functions) -> dict[str, str]:
    """Argument -> the lines of its function, of those that are the user's own. Not of programs."""
    told: dict[str, str] = {}
    room = MOST_CHARS
    for argument, function in _named(functions):
        text = _text_of(function)[: min(FUNCTION_CHARS, room)]
        if text and text not in told.values():
            told[argument] = text
            room -= len(text)
    return told


def _named(functions: Functions) -> Iterator[tuple[str, Any]]:
    sides = functions.sides
    for argument in functions.__dataclass_fields__:
        if argument != "sides":
            yield argument, getattr(functions, argument)
    for number, side in enumerate(sides):
        yield f"map of input {number}", side.map


def _text_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or not _is_users(code.co_filename):
        return ""
    lines = linecache.getlines(code.co_filename)
    last = min(_last_line(code), len(lines))
    while last < len(lines) and lines[last].strip()[:1] in _CLOSING:
        last += 1
    text = textwrap.dedent("".join(lines[code.co_firstlineno - 1 : last])).rstrip()
    return readable(redact(text))


def _is_users(file: str) -> bool:
    # A cell of a notebook has no file.
    return is_local_file(file) or file.startswith(_EXAMPLES) or (file in linecache.cache and "<" in file)


def _last_line(code: CodeType) -> int:
    own = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
    return max([own, *(_last_line(one) for one in code.co_consts if isinstance(one, CodeType))])
