"""Errors that say nothing of what was tried: the process itself was at its end."""

from __future__ import annotations

import errno
from collections.abc import Iterator

__all__ = ["is_exhaustion", "with_causes"]

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}


def is_exhaustion(error: BaseException) -> bool:
    """Whether the process itself was at its end: no memory, no descriptor, no thread to be had."""
    return any(map(_tells_exhaustion, with_causes(error)))


def _tells_exhaustion(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED):
        return True
    return isinstance(error, RuntimeError) and any("can't start new thread" in str(it) for it in _told(error))


def _told(error: BaseException) -> list[str]:
    return [it for it in error.args if isinstance(it, str)]


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, each once: ``raise e from e`` makes a circle."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
