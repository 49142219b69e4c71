"""The pairs of results, wherever they lie: ``result_iterator``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any, BinaryIO, Protocol, TypeAlias, TypeVar, overload

from disco_rq.client.arguments import Address
from disco_rq.client.results import Result
from disco_rq.client.session import Session
from disco_rq.client.waiting import wait_ready
from disco_rq.errors import ConnectionLost, DataError, DiscoError, JobArgumentError
from disco_rq.func import chain_reader
from disco_rq.inputs.addresses import scheme_of
from disco_rq.inputs.expand import expand, look_up_web
from disco_rq.model import JOB_NAME
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import open_remote
from disco_rq.records import read_pairs, read_with
from disco_rq.saving import is_saved, read_saved
from disco_rq.settings import Settings

__all__ = ["HasResults", "Named", "result_iterator"]

T = TypeVar("T")


class HasResults(Protocol):
    """A ``Job``."""

    def wait(self) -> Iterable[str]:
        """Its results, when it has ended."""


Named: TypeAlias = HasResults | Address | Iterable[Address | Sequence[Address]]
"""What has results: a job, its name, a directory, a pattern, or addresses."""


@overload
def result_iterator(
    results: Named, notifier: Callable[[str], object] | None = None, reader: None = None
) -> Iterator[tuple[Any, Any]]: ...


@overload
def result_iterator(
    results: Named,
    notifier: Callable[[str], object] | None = None,
    *,
    reader: Callable[[BinaryIO, int | None, str], Iterable[T]],
) -> Iterator[T]: ...


@overload
def result_iterator(
    results: Named,
    notifier: Callable[[str], object] | None,
    reader: Callable[[BinaryIO, int | None, str], Iterable[T]],
) -> Iterator[T]: ...


def result_iterator(
    results: Named,
    notifier: Callable[[str], object] | None = None,
    reader: Callable[..., Iterable[Any]] | None = None,
) -> Iterator[Any]:
    """Stream the ``(key, value)`` pairs of all results, in order, one file at a time.

    ``results``: what ``wait`` or ``results`` returned, or some of it; or a ``Job``, whose end is waited for.
    As text: the name of a job of the cluster that DISCO_RQ_REDIS names, a directory or a pattern of saved
    results, which stand for the same files as in a job's input, or one address. A list
    among addresses names replicas of one result: where one cannot be read (any more), the next one goes on.

    Addresses that were kept as text are looked up in the cluster that DISCO_RQ_REDIS names; saved results
    need no cluster, and each is read by what it is. ``notifier(address)`` is called as each file is opened.
    ``reader(fd, size, name)`` yields the entries where the job had a writer
    of its own; ``func.chain_reader`` is what reads where it had none. Raises ``DataError`` naming the address
    that cannot be read; ``JobError`` for a job that died, ``UnknownJob``.
    """
    reader = None if reader is chain_reader else reader
    elsewhere: list[Locator] = []  # of addresses that are text, as soon as one is needed

    def locator_of(address: str) -> Locator:
        if isinstance(address, Result):
            return address.locator
        if not elsewhere:
            elsewhere.append(_locator_of_environment())
        return elsewhere[0]

    for entry in _addresses(results):
        replicas = [_text(entry)] if isinstance(entry, str | os.PathLike) else list(map(_text, entry))
        if not replicas:
            raise DiscoError("result_iterator was given an empty list of replicas")
        yield from _first_whole(replicas, locator_of, notifier, reader)


def _addresses(results: Any) -> Iterable[Address | Sequence[Address]]:
    if isinstance(results, Result):
        return [results]
    if isinstance(results, str | os.PathLike):
        return _named(os.fspath(results))
    if callable(wait := getattr(results, "wait", None)):
        found: Iterable[str] = wait()
        return found
    if not isinstance(results, Iterable) or isinstance(results, bytes):
        raise DiscoError(
            "result_iterator takes a job, its name, a directory, a pattern, or a list of addresses, "
            f"not {results!r:.100}"
        )
    return results


def _text(address: Any) -> str:
    text = os.fspath(address) if isinstance(address, os.PathLike) else address
    if not isinstance(text, str):
        raise DiscoError(f"result_iterator takes addresses as text, not {address!r:.100}")
    return text


def _named(text: str) -> Iterable[str]:
    """The addresses that a name stands for."""
    if JOB_NAME.fullmatch(text):
        question = f"{text} is a job of a cluster (./{text}: a directory): open it with Disco(…)"
        return wait_ready(_session_of_environment(question), text)
    if scheme_of(text) == "disco":
        return [text]
    try:
        found, _ = expand(text, look_up_web([text]), [])
    except JobArgumentError as error:
        name = "" if "/" in text else "; the whole name of a job is like count@20261129-120000-a1b2"
        raise DataError(str(error).removeprefix("input ") + name) from None
    return [file.url for file in found]


def _first_whole(
    replicas: Sequence[str],
    locator_of: Callable[[str], Locator],
    notifier: Callable[[str], object] | None,
    reader: Callable[..., Iterable[Any]] | None,
) -> Iterator[Any]:
    """The entries of one of the replicas, or of several that took over from one another."""
    if len(replicas) == 1:
        yield from _entries(replicas[0], locator_of, notifier, reader)
        return
    given = 0
    for left, address in zip(range(len(replicas) - 1, -1, -1), replicas, strict=True):
        try:
            for entry in islice(_entries(address, locator_of, notifier, reader), given, None):
                given += 1
                yield entry
        except DataError:
            if not left:
                raise
        else:
            return


def _entries(
    address: str,
    locator_of: Callable[[str], Locator],
    notifier: Callable[[str], object] | None,
    reader: Callable[..., Iterable[Any]] | None,
) -> Iterator[Any]:
    saved = is_saved(address)
    path = None if saved else locator_of(address).path(address)
    if notifier is not None:
        notifier(address)
    if saved:
        yield from read_saved(address, reader)
        return
    if path is not None and not path.exists():
        raise DataError("the result is gone: was its job purged, or its cluster closed?", url=address)
    with nullcontext(path) if path is not None else open_remote(locator_of(address), address) as file:
        yield from read_pairs(file, address) if reader is None else read_with(reader, file, address)


def _locator_of_environment() -> Locator:
    return _session_of_environment("whose results are these? Open the cluster with Disco(…)").locator


def _session_of_environment(question: str) -> Session:
    settings = Settings.from_env()
    if settings.redis is None:
        raise ConnectionLost(f"{question}, or set DISCO_RQ_REDIS")
    session = Session(settings.redis, settings, is_own=False)
    session.connection.check()
    return session
