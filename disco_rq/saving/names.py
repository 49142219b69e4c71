"""What ``save_by`` may answer: the name of a directory below the job's, ``day=2026-11-29`` or ``a=1/b=2``."""

from __future__ import annotations

import re
from typing import Any

from disco_rq.inputs.walking import is_left_out

__all__ = ["MAX_NAMES", "problem_with"]

MAX_NAMES = 1000
"""Directories that one task may save to."""

_PART_BYTES = 255
_NAME_BYTES = 700
"""The key of an object in S3 ends at 1024, with the directory and the file's name."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SAVED = re.compile(r"part-\d+(\.\w+)+")


def problem_with(name: Any) -> str:
    """Why it is no such name; empty if it is one.

    Never leads out of the directory, and never to what readers of a directory leave out.
    """
    if not isinstance(name, str):
        return f"it must answer a str, not {type(name).__qualname__}"
    if not name:
        return "the name of a directory is not empty"
    if name.startswith("/"):
        return "the name of a directory below the job's does not begin with /"
    if _CONTROL.search(name):
        return "the name of a directory has no control characters"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "the name of a directory is Unicode, without lone surrogates"
    if size > _NAME_BYTES:
        return f"it takes {size:,} bytes, and {_NAME_BYTES} are allowed"
    return next(filter(None, map(_problem_with_part, name.split("/"))), "")


def _problem_with_part(part: str) -> str:
    if not part:
        return "between two / there must be something"
    if part in (".", ".."):
        return f"{part} is no name of a directory"
    if is_left_out(part):
        return f"{part} is a name that readers of a directory leave out"
    if _SAVED.fullmatch(part):
        return f"{part} is what a saved file is called"
    if len(part.encode()) > _PART_BYTES:
        return f"the name of one directory takes at most {_PART_BYTES} bytes"
    return ""
