"""The results of jobs, read where the client is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from disco_rq.errors import ConnectionLost, DataError
from disco_rq.locations import Locator
from disco_rq.records import read_pairs, read_with
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import node_about


class Results(list[str]):
    """Addresses of a job's results, in order. Knows the cluster that they come from."""

    def __init__(self, addresses: Iterable[str], locator: Locator) -> None:
        super().__init__(addresses)
        self.locator = locator


_last_locator: Locator | None = None


def forget_locator(locator: Locator) -> None:
    """Its cluster was closed."""
    global _last_locator
    if _last_locator is locator:
        _last_locator = None


def remember_locator(locator: Locator) -> None:
    """Plain addresses are looked up in the cluster that was opened last."""
    global _last_locator
    _last_locator = locator


def result_iterator(
    results: Iterable[str],
    notifier: Callable[[str], object] | None = None,
    reader: Callable[..., Iterator[Any]] | None = None,
) -> Iterator[Any]:
    """Stream the ``(key, value)`` pairs of all results, in order, one file at a time.

    ``results``: what ``wait`` or ``results`` returned. ``notifier(address)`` is called as each file is
    opened. ``reader(fd, size, name)`` yields the entries where the job had a writer of its own. Raises
    ``DataError`` naming the address that cannot be read.
    """
    locator = results.locator if isinstance(results, Results) else _last_locator or _locator_of_environment()
    for address in results:
        path = locator.path(address)
        if notifier is not None:
            notifier(address)
        if not path.exists():
            raise DataError("the result is gone: was its job purged, or its cluster closed?", url=address)
        yield from read_pairs(path, address) if reader is None else read_with(reader, path, address)


def _locator_of_environment() -> Locator:
    settings = Settings.from_env()
    if settings.redis is None:
        raise ConnectionLost("whose results are these? Open the cluster with Disco(…), or set DISCO_RQ_REDIS")
    connection = Connection(settings.redis)
    connection.check()
    return Locator(lambda node: node_about(connection, node))
