"""The client of a cluster: it submits jobs, and finds those that are there."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

from disco_rq.client.arguments import Inputs, JobArguments
from disco_rq.client.embedded import EmbeddedCluster
from disco_rq.client.facts import node_facts
from disco_rq.client.job import Job, submitted
from disco_rq.client.notebook import disco_html
from disco_rq.client.session import Session
from disco_rq.client.waiting import NamedResults, wait_any
from disco_rq.model import ResultStatus
from disco_rq.settings import Settings
from disco_rq.store.nodes import NodeAdmin, master_address

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class _OfNamed(Protocol[P, R_co]):
    """A method of ``Job`` that takes the job's name first, or as ``name=``."""

    def __call__(self, name: str, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _Method(Protocol[P, R_co]):
    """A function in a class, as a type checker sees it: ``Callable`` would not let the name be ``name=``."""

    @overload
    def __get__(self, disco: None, owner: type[Disco]) -> Callable[Concatenate[Disco, str, P], R_co]: ...

    @overload
    def __get__(self, disco: Disco, owner: type[Disco]) -> _OfNamed[P, R_co]: ...


def _by_name(method: Callable[Concatenate[Job, P], R_co]) -> _Method[P, R_co]:
    """A method of ``Job`` as one of ``Disco`` that takes the job's name first."""

    @functools.wraps(method)
    def call(self: Disco, name: str, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return method(Job(self, name), *args, **kwargs)

    signature = inspect.signature(method)
    own, *others = signature.parameters.values()
    name = inspect.Parameter("name", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str")
    call.__signature__ = signature.replace(parameters=[own, name, *others])  # type: ignore[attr-defined]
    return cast("_Method[P, R_co]", call)


class Disco:
    """A connection to a cluster: the Redis at ``url``, or the one that DISCO_RQ_REDIS names.

    Without either it starts the embedded cluster, with ``workers`` processes (default: one a core), which
    ends with ``close``, at the end of a ``with`` block, or with the program. Raises ``ConnectionLost`` naming
    the address. What ``Job`` can do is here, too, with the job's name as the first argument.
    """

    def __init__(self, url: str | None = None, workers: int | None = None) -> None:
        settings = Settings.from_env()
        self._cluster: EmbeddedCluster | None = None
        address = url or settings.redis
        if address is None:
            self._cluster = EmbeddedCluster(workers)
            address = self._cluster.url
        self.url = address
        self.session = Session(address, settings, is_own=self.is_embedded)
        try:
            if not self.is_embedded:
                self.session.connection.check()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and end the embedded cluster if there is one. Idempotent."""
        self.session.close()
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    @property
    def is_embedded(self) -> bool:
        """True if this object has a cluster of its own, which ends with it."""
        return self._cluster is not None

    @property
    def http_url(self) -> str:
        """Address of the cluster's web page; empty if its master serves none.

        Of an embedded cluster without DISCO_RQ_SECRET it has the token that opens the page: keep it to you.
        """
        if self._cluster is not None:
            return self._cluster.http_url
        address = master_address(self.session.connection)
        return f"http://{address}" if address else ""

    # -- jobs

    def new_job(
        self,
        name: str,
        input: Inputs,
        **arguments: Unpack[JobArguments],
    ) -> Job:
        """Submit a job and return at once.

        ``name``: at most 100 letters, digits, _ and -; the job's own name begins with it. ``input``:
        addresses, as text or ``Path``, in a list, a set or whatever else gives them one by one; a list
        among them names redundant replicas. ``arguments``: a ``map``, a ``reduce``
        or both, and what else the class ``JobArguments`` lists and the manual explains; sizes are
        bytes, times seconds. Wrong use raises ``JobArgumentError`` naming the argument, and nothing
        is queued; ``NoMaster`` if no master leads the cluster, ``UnfitNodes`` if the nodes have
        another Python or lack a package that the functions name.
        """
        return submitted(Job, self, self.session.submit(name, input, arguments))

    def job(self, name: str) -> Job:
        """A job that was submitted before, by whomever. Raises ``UnknownJob``."""
        self.session.store.record(name)
        return Job(self, name)

    @overload
    def results(self, job: str, timeout: float = ...) -> tuple[ResultStatus, list[str]]: ...

    @overload
    def results(
        self, job: list[Any] | tuple[Any, ...], timeout: float = ...
    ) -> tuple[list[NamedResults], list[NamedResults]]: ...

    def results(self, job: Any, timeout: float = 2.0) -> Any:
        """Status and results of one job, or of several.

        One name: ``(status, addresses)``, waiting at most ``timeout`` seconds for its end. A list of jobs,
        names, or entries of an earlier answer: waits until at least one has ended, at most ``timeout``
        seconds, and returns ``(finished, active)`` with entries ``(name, (status, addresses))``.
        """
        if isinstance(job, str):
            return Job(self, job).results(timeout)
        names = [
            entry.name if isinstance(entry, Job) else entry if isinstance(entry, str) else entry[0]
            for entry in job
        ]
        return wait_any(self.session, names, timeout)

    def joblist(self) -> list[tuple[float, str, str]]:
        """``(start, status, name)`` of every job, newest first; start in seconds since 1970."""
        listed = self.session.store.job_list()
        statuses = self.session.store.statuses(name for name, _ in listed)
        return [
            (start, status or "unknown job", name)
            for (name, start), status in zip(listed, statuses, strict=True)
        ]

    wait = _by_name(Job.wait)
    stream = _by_name(Job.stream)
    _repr_html_ = disco_html
    to_arrow = _by_name(Job.to_arrow)
    to_pandas = _by_name(Job.to_pandas)
    to_polars = _by_name(Job.to_polars)
    stage_results = _by_name(Job.stage_results)
    jobinfo = _by_name(Job.jobinfo)
    jobspec = _by_name(Job.jobspec)
    events = _by_name(Job.events)
    story = _by_name(Job.story)
    log = _by_name(Job.log)
    replay = _by_name(Job.replay)
    profile_stats = _by_name(Job.profile_stats)
    bad_entries = _by_name(Job.bad_entries)
    oob_list = _by_name(Job.oob_list)
    oob_get = _by_name(Job.oob_get)
    retry = _by_name(Job.retry)
    kill = _by_name(Job.kill)
    clean = _by_name(Job.clean)
    purge = _by_name(Job.purge)
    pause = _by_name(Job.pause)
    resume = _by_name(Job.resume)

    # -- nodes

    def nodeinfo(self) -> dict[str, list[dict[str, Any]]]:
        """The nodes, and what runs on them.

        ``active`` has a dict for each running task, ``available`` one for each node:

        - ``node``, ``host``, ``max_workers`` (alive now)
        - ``state`` (alive, closed, draining, drained, blacklisted, left, gone), ``blacklisted``, ``draining``
        - ``closed``: why it takes no tasks of its own accord, such as a full disk; "" if it does
        - ``misfit``: why its secret does not fit that of here; "" if it does
        - ``job_ok``, ``data_error``, ``error``, ``lost``
        """
        running = [{**lease._asdict(), "task": str(lease.task)} for lease in self.session.store.running()]
        return {
            "available": node_facts(self.session.connection, self.session.fingerprints),
            "active": running,
        }

    def blacklist(self, node: str) -> None:
        """Give the node no new tasks. Survives restarts of everything. Raises ``DiscoError`` for a node that
        nobody knows.
        """
        NodeAdmin(self.session.connection).close(node, drain=False)

    def whitelist(self, node: str) -> None:
        """Give the node tasks again: the end of ``blacklist`` and of ``drain``. Raises as they do."""
        NodeAdmin(self.session.connection).open(node)

    def drain(self, node: str) -> None:
        """Give the node no new tasks, and let it finish those that it has, queued ones too. Raises as
        ``blacklist`` does.
        """
        NodeAdmin(self.session.connection).close(node, drain=True)

    def forget(self, node: str) -> None:
        """Keep nothing more of a node that is gone for good: it leaves the lists, and no purge waits for it.

        If it comes back it is known again when it starts. Raises ``NodeAlive`` for a node that gave a sign of
        life within the last minute, ``DiscoError`` for one that is not known.
        """
        NodeAdmin(self.session.connection).forget(node)
