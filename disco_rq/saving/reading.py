"""Saved results, read where the client is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from disco_rq.errors import DataError
from disco_rq.inputs import open_input
from disco_rq.inputs.addresses import scheme_of
from disco_rq.model import Input
from disco_rq.redact import redact
from disco_rq.saving.formats import format_of

__all__ = ["is_saved", "read_saved"]


def is_saved(address: str) -> bool:
    """Whether it is the address of a saved result, and not of a node's file."""
    return scheme_of(address) != "disco"


def read_saved(address: str, reader: Callable[..., Iterable[Any]] | None = None) -> Iterator[Any]:
    """The pairs of a saved result, in bounded memory, or what ``reader(fd, size, name)`` makes of its bytes.

    Raises ``DataError`` naming the address: it cannot be read, or its extension tells no format.
    """
    format = format_of(address)
    if reader is None and format is None:
        raise DataError("not the address of a task output, nor of a saved result", url=redact(address))
    with open_input(Input(address)) as (fd, size):
        if reader is not None:
            yield from reader(fd, size, address)
        elif format is not None:
            yield from format.read(fd, redact(address))
