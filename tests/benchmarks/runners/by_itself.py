"""Programs that need nobody to run them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started() -> Iterator[None]:
    """Nothing."""
    yield None
