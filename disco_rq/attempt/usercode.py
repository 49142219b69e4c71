"""The boundary around job functions: what an exception of theirs means, and how it reads to their author."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from disco_rq import func
from disco_rq.errors import BadSignature, DataError, JobFailure, TaskError
from disco_rq.redact import redact
from disco_rq.store.attempts import Failure, FailureKind

_OURS = Path(__file__).parents[1]
_STDLIB = tuple(f"{sysconfig.get_path(key)}{os.sep}" for key in ("stdlib", "platstdlib"))
_CALLED_BY_US = frozenset(
    [
        *("msgpack", "redis", "hiredis", "rq", "fsspec", "lz4", "isal", "backports", "pyarrow"),
        *("s3fs", "aiobotocore", "botocore", "aiohttp"),
    ]
)
_FATAL = (JobFailure, BadSignature)
_RETRIED_ERRORS = ("RecordTypeError", "PartitionError", "ProgramError", "TaskTimeout")

MESSAGE_MAX_CHARS = 2_000
TRACEBACK_MAX_CHARS = 20_000
"""What of an error's text and traceback is kept; either may hold whole records of the user's data."""


def failure_kind(error: BaseException) -> FailureKind:
    """What follows from an error: ``data`` is re-run elsewhere, ``fatal`` ends the job, ``error`` asks
    task_retries.
    """
    if isinstance(error, DataError | OSError):
        return "data"
    if isinstance(error, _FATAL) or (
        isinstance(error, TaskError) and type(error).__name__ not in _RETRIED_ERRORS
    ):
        return "fatal"
    return "error"


def describe(error: BaseException) -> Failure:
    """The error in one line with where it happened, and the frames of the user's own code.

    Without the passwords and keys of addresses, which libraries like to repeat: many may read it.
    """
    url = getattr(error, "url", None)
    return Failure(
        message=message_of(error),
        traceback=user_traceback(error),
        url=None if url is None else redact(url),
        left_out=getattr(error, "left_out", ""),
    )


def message_of(error: BaseException) -> str:
    """The error in one line."""
    name = type(error).__name__
    text = _cut(redact(_text(error)), MESSAGE_MAX_CHARS)
    notes = [str(note) for note in getattr(error, "__notes__", [])] + _advice(error)
    message = f"{name}: {text}" if text else name
    return f"{message} ({redact('; '.join(notes))})" if notes else message


def _advice(error: BaseException) -> list[str]:
    """What a user of Disco may not know: how to find here what its functions found without an import."""
    if not isinstance(error, NameError) or isinstance(error, UnboundLocalError):
        return []
    if not error.name or error.name.startswith("_"):
        return []
    if error.name in func.__all__:
        return [f"write 'from disco_rq.func import {error.name}' at the top of the program"]
    try:
        is_module = importlib.util.find_spec(error.name) is not None
    except (ImportError, ValueError, AttributeError):
        return []
    name = error.name
    return [f"{name} is a module: import it, or submit with required_modules=[{name!r}]"] if is_module else []


def _text(error: BaseException) -> str:
    """The error's own words in one line; they are made by user code."""
    try:
        return " ".join(str(error).splitlines()).strip()
    except Exception as other:  # noqa: BLE001  a __str__ that raises
        return f"its text cannot be made: {type(other).__name__}"


def _cut(text: str, most: int) -> str:
    """The beginning and the end of a text that is too long to keep in Redis."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {len(text) - most} characters left out ... {text[-(most // 2) :]}"


def user_traceback(error: BaseException) -> str:
    """The traceback without our frames, nor those of libraries that we called; empty where no user code was
    involved.
    """
    report = traceback.TracebackException.from_exception(error, compact=True)
    seen: traceback.TracebackException | None = report
    users = False
    while seen is not None:
        kept = _users_frames(seen.stack)
        users = users or bool(kept)
        seen.stack = traceback.StackSummary.from_list(kept)
        seen = seen.__cause__ or seen.__context__
    return _cut(redact("".join(report.format())), TRACEBACK_MAX_CHARS) if users else ""


def users_traceback(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame of user code to the last one; None where there is none."""
    entries: list[TracebackType] = []
    entry, by_us = error.__traceback__, True
    while entry is not None:
        filename = entry.tb_frame.f_code.co_filename
        if _is_ours(filename):
            by_us = True
        elif not by_us or not _is_library(filename):
            by_us = False
            entries.append(entry)
        entry = entry.tb_next
    while entries and _is_library(entries[-1].tb_frame.f_code.co_filename):
        entries.pop()
    chain: TracebackType | None = None
    for one in reversed(entries):
        chain = TracebackType(chain, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return chain


def _users_frames(stack: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """The frames of user code, and of what it called."""
    kept: list[traceback.FrameSummary] = []
    by_us = True
    for frame in stack:
        if _is_ours(frame.filename):
            by_us = True
        elif not by_us or not _is_library(frame.filename):
            by_us = False
            kept.append(frame)
    return kept


def _is_library(filename: str) -> bool:
    """Whether it is the standard library, or one that we call; the user's may be installed beside those."""
    parts = Path(filename).parts
    for i, part in enumerate(parts[:-1]):
        if part in ("site-packages", "dist-packages"):
            return parts[i + 1] in _CALLED_BY_US
    # A compiled module tells no more than "msgpack/_packer.pyx".
    return filename.startswith((*_STDLIB, "<frozen ")) or parts[0] in _CALLED_BY_US


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return _OURS in path.parents and "examples" not in path.parts
