"""What an event loop leaves to a few threads: files, packing, and questions that are short."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Generic, ParamSpec, TypeVar

__all__ = ["Threads"]

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 8
_SOME = 1000
"""So many items of an iterator are fetched at once."""


class Threads:
    """A bounded number of them. None is held by who waits for a job."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="disco-rq-async")

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Its answer. It goes on when the future is cancelled."""
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args, **kwargs))

    async def iterate(self, begin: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """The items of an iterator, some at a time; it is closed when nobody wants more of them."""
        pulled = _Pulled(begin)
        try:
            while some := await self.call(pulled.some):
                for item in some:
                    yield item
        finally:
            self._pool.submit(pulled.close)

    def close(self) -> None:
        """What runs ends by itself."""
        self._pool.shutdown(wait=False)


class _Pulled(Generic[T]):
    """An iterator that is read and closed in different threads, one after the other."""

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin = begin
        self._items: Iterator[T] | None = None
        self._turn = threading.Lock()

    def some(self) -> list[T]:
        with self._turn:
            if self._items is None:
                self._items = self._begin()
            return list(islice(self._items, _SOME))

    def close(self) -> None:
        with self._turn:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
