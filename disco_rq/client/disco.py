"""The client: submit jobs, watch them, read their results."""

from __future__ import annotations

import math
import pstats
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from disco_rq.client.arguments import Address, JobArguments
from disco_rq.client.embedded import EmbeddedCluster
from disco_rq.client.facts import describe_death, job_facts, node_facts
from disco_rq.client.fitness import FitnessCheck
from disco_rq.client.job import Job
from disco_rq.client.results import (
    Results,
    count_partitions,
    forget_locator,
    read_beside,
    read_log,
    remember_locator,
    results_of,
)
from disco_rq.client.submission import build
from disco_rq.errors import DiscoError, JobError, UnknownJob
from disco_rq.model import JOB_NAME, ResultStatus, TaskId
from disco_rq.outputs.addresses import output_address
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.profiles import SUFFIX as PROFILE_SUFFIX
from disco_rq.outputs.profiles import merged, profiled_outputs
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobRecord, JobStore
from disco_rq.store.nodes import NodeAdmin, live_slots, master_address, node_about

if TYPE_CHECKING:
    from disco_rq.client.progress import Display

NamedResults = tuple[str, tuple[ResultStatus, "list[str]"]]

REFRESH_S = 0.2
"""How often a display is told how far the job is."""
PURGE_PATIENCE_S = 10.0
"""For how long ``purge`` waits for the nodes that are alive to delete the files; those that are not do it
later.
"""


class Disco:
    """A connection to a cluster: the Redis at ``url``, or the one that DISCO_RQ_REDIS names.

    Without either it starts the embedded cluster, with ``workers`` processes (default: one a core), which
    ends with ``close``, at the end of a ``with`` block, or with the program. Raises ``ConnectionLost`` naming
    the address.
    """

    def __init__(self, url: str | None = None, workers: int | None = None) -> None:
        self._settings = Settings.from_env()
        self._cluster: EmbeddedCluster | None = None
        address = url or self._settings.redis
        if address is None:
            self._cluster = EmbeddedCluster(workers)
            address = self._cluster.url
        self.url = address
        self._connection = Connection(address)
        if self._cluster is None:
            self._connection.check()
        self._store = JobStore(self._connection)
        connection = self._connection
        self._locator = Locator(lambda node: node_about(connection, node), secret=self._settings.secret)
        remember_locator(self._locator)
        self._fitness = FitnessCheck(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and end the embedded cluster if there is one. Idempotent."""
        forget_locator(self._locator)
        self._connection.close()
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
        address = master_address(self._connection)
        return f"http://{address}" if address else ""

    # -- jobs

    def new_job(
        self,
        name: str,
        input: Sequence[Address | Sequence[Address]],
        **arguments: Unpack[JobArguments],
    ) -> Job:
        """Submit a job and return at once.

        ``name``: letters, digits and _; the job's own name begins with it. ``input``: addresses; a list among
        them names redundant replicas. ``arguments``: a ``map``, a ``reduce`` or both, and what else the class
        ``JobArguments`` lists and the README explains; sizes are bytes, times seconds. Wrong use raises
        ``JobArgumentError`` naming the argument, and nothing is queued; ``NoMaster`` if no master leads the
        cluster, ``UnfitNodes`` if the nodes have another Python or lack a package that the functions name.
        """
        partitions_of = partial(count_partitions, self._locator)
        submission = build(name, input, arguments, self._settings.secret, partitions_of)
        if self._cluster is None:  # whose workers are this very installation
            self._fitness.check(submission.modules)
        if not self._store.submit(submission.spec, submission.pack, submission.inputs):
            return self.new_job(name, input, **arguments)  # the random part of the name was taken
        return Job(self, submission.spec.name)

    def job(self, name: str) -> Job:
        """A job that was submitted before, by whomever. Raises ``UnknownJob``."""
        self._store.record(name)
        return Job(self, name)

    def wait(
        self,
        name: str,
        timeout: float | None = None,
        poll_interval: float = 5.0,
        clean: bool = False,
        show: bool | Display | None = None,
    ) -> Results:
        """Block until the job has ended; return the addresses of its results.

        Raises ``JobError``: with the first cause if the job is dead, with ``"Timeout"`` after ``timeout``
        seconds, in which case the job goes on. ``poll_interval``: seconds after which the status is looked up
        even if no event came. ``clean``: forget the job's records when it is ready. ``show``: events and
        progress on stderr (True), or in a display of your own.
        """
        with _display(show) as display:
            record = self._wait_shown(name, timeout, poll_interval, display)
        if record.status == "dead":
            raise JobError(describe_death(name, record))
        results = self._results_of(name)
        if clean:
            self.clean(name)
        return results

    def _wait_shown(
        self, name: str, timeout: float | None, poll_interval: float, display: Display | None
    ) -> JobRecord:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        interval = poll_interval if display is None else min(poll_interval, REFRESH_S)
        offset = self._last_event(name) if display is None else "0-0"
        while True:
            record = self._store.record(name)
            if display is not None:
                for event in self._store.events(name, offset):
                    offset = event.offset
                    display.event(event.timestamp, event.host, event.message)
                display.update(record)
            if record.status != "active":
                return record
            left = deadline - time.monotonic()
            if left <= 0:
                raise JobError(f"Timeout: job {name} is still active after {timeout:g} s; it goes on")
            found = self._store.wait_events({name: offset}, round(min(interval, left) * 1000))
            if display is None and name in found:
                offset = found[name][-1].offset

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
            finished, active = self._wait_any([job], timeout)
            return (finished or active)[0][1]
        names = [
            entry.name if isinstance(entry, Job) else entry if isinstance(entry, str) else entry[0]
            for entry in job
        ]
        return self._wait_any(names, timeout)

    def _wait_any(
        self, names: Sequence[str], timeout: float
    ) -> tuple[list[NamedResults], list[NamedResults]]:
        deadline = time.monotonic() + timeout
        offsets = {name: self._last_event(name) for name in names}
        while True:
            statuses = dict(zip(names, self._store.statuses(names), strict=True))
            active = [name for name in names if statuses[name] == "active"]
            left = deadline - time.monotonic()
            if len(active) < len(names) or left <= 0 or not names:
                break
            for name, found in self._store.wait_events(offsets, round(left * 1000)).items():
                offsets[name] = found[-1].offset
        finished: list[NamedResults] = []
        for name in names:
            status = statuses[name]
            if status != "active":
                addresses = self._results_of(name) if status == "ready" else Results([], self._locator)
                finished.append((name, (status or "unknown job", addresses)))
        return finished, [(name, ("active", [])) for name in active]

    def _results_of(self, name: str, *, settled: bool = True) -> Results:
        return results_of(self._store.outputs(name), self._locator, settled=settled)

    def _last_event(self, name: str) -> str:
        events = self._store.last_event(name)
        return events.offset if events else "0-0"

    # -- what is known of a job

    def jobinfo(self, name: str) -> dict[str, Any]:
        """The job in numbers.

        ``timestamp`` (seconds since 1970), ``active`` (its status), ``paused``, ``mapi`` and ``redi``
        (``[waiting, running, done, failed]``), ``reduce``, ``results``, ``inputs`` (the first 100),
        ``nodes``; and
        ``ended``, ``owner``, ``priority``, ``counters``, ``msgs_dropped``, ``cause``, ``copies`` (of tasks
        that lagged), ``entries``,
        ``records`` and ``bytes`` (each by phase).
        """
        record = self._store.record(name)
        results = list(self._results_of(name, settled=False)) if record.status == "ready" else []
        return {**job_facts(self._store, name, record), "results": results}

    def jobspec(self, name: str) -> dict[str, Any]:
        """Every argument of ``new_job`` as the job was submitted with it, or its default.

        Plain data: functions by their names, ``params`` by their ``repr``, ``input`` the first 100 entries;
        ``name`` is the job's whole name. Raises ``UnknownJob``.
        """
        return dict(self._store.spec(name).details.get("arguments", {}))

    def joblist(self) -> list[tuple[float, str, str]]:
        """``(start, status, name)`` of every job, newest first; start in seconds since 1970."""
        listed = self._store.job_list()
        statuses = self._store.statuses(name for name, _ in listed)
        return [
            (start, status or "unknown job", name)
            for (name, start), status in zip(listed, statuses, strict=True)
        ]

    def nodeinfo(self) -> dict[str, list[dict[str, Any]]]:
        """The nodes, and what runs on them.

        ``available``: a dict for each node, with ``node``, ``state`` (alive, closed, draining, drained,
        blacklisted, gone), ``max_workers`` (alive now), ``job_ok``,
        ``data_error``, ``error``, ``lost``, ``blacklisted``, ``draining``, ``host``, ``closed`` (why it
        takes no tasks of its own accord: its disk is full, it is leaving; "" if it does);
        ``active``: one for each running task.
        """
        return {"available": node_facts(self._connection), "active": self._store.running()}

    def events(self, name: str, offset: str = "0-0") -> Iterator[tuple[str, tuple[float, str, str]]]:
        """The job's history after ``offset``, oldest first: ``(offset, (timestamp, host, message))``.

        Ends with what is there now; go on with the last offset. Raises ``UnknownJob``.
        """
        self._store.record(name)
        for event in self._store.events(name, offset):
            yield event.offset, (event.timestamp, event.host, event.message)

    def story(self, name: str, task: str) -> list[dict[str, Any]]:
        """The attempts of a task (``map:3``), oldest first.

        For each ``attempt``, ``node``, ``worker``, ``started`` and ``ended`` (milliseconds since 1970, None
        if not yet), ``outcome`` (done, overtaken, data, lost, error, fatal, killed, release: handed back;
        queued, running; stopped: the job ended before it began), and with it ``error`` or ``entries``,
        ``records`` and ``bytes``. Empty: never tried. Raises ``UnknownJob``, ``DiscoError`` if it has no such
        task.
        """
        wanted = _task(task)
        number = self._store.record(name).count(f"nr_{wanted.phase}s")
        if wanted.index >= number:
            last = f"the last is {wanted.phase}:{number - 1}" if number else f"it has no {wanted.phase}s"
            raise DiscoError(f"job {name} has no task {task}: {last}")
        return self._store.story(name, str(wanted))

    def log(self, name: str, task: str, attempt: int | None = None) -> str:
        """What an attempt of a task printed and logged (default: the last one), 64 KiB at most.

        Empty if it printed nothing, or has not ended: the log is kept then. Raises what ``story`` does, and
        ``DataError`` if its node cannot be read.
        """
        begun = [one for one in self.story(name, task) if one["started"]]
        wanted = [one for one in begun if attempt is None or one["attempt"] == attempt]
        if not wanted:
            return ""
        node, number = wanted[-1]["node"], wanted[-1]["attempt"]
        return read_log(self._locator, output_address(node, name, _task(task), number))

    def profile_stats(self, name: str, mode: str = "") -> pstats.Stats:
        """The profiles of the job's tasks that are done, as one. ``mode``: "map" or "reduce", "" for both.

        Raises ``JobError("No profile data")`` if the job was not submitted with ``profile=True``, or no such
        task is done; ``UnknownJob``; ``DataError`` if a node cannot be read.
        """
        if mode not in ("", "map", "reduce"):
            raise DiscoError(f'mode={mode!r}: it takes "map", "reduce", or "" for both')
        self._store.record(name)
        addresses = profiled_outputs(name, self._store.attempts(name), mode)
        found = ((address, read_beside(self._locator, address, PROFILE_SUFFIX)) for address in addresses)
        stats = merged((address, data) for address, data in found if data is not None)
        if stats is None:
            raise JobError(f"No profile data: job {name} has none{mode and f' of a {mode}'}")
        return stats

    def oob_list(self, name: str) -> list[str]:
        """The keys of the job's committed OOB results, sorted. Raises ``OOBNotFound`` for an unknown job."""
        return self._store.oob_list(name)

    def oob_get(self, name: str, key: str) -> Any:
        """A committed OOB result, of the type that was put. Raises ``OOBNotFound`` if there is none."""
        return self._store.oob_get(name, key)

    # -- the end of a job

    def kill(self, name: str) -> None:
        """End the job and what it runs; it is dead then. Idempotent. Raises ``UnknownJob``."""
        if not JOB_NAME.fullmatch(name) or not self._store.kill(name, "it was killed"):
            raise UnknownJob(f"unknown job {name!r}")

    def clean(self, name: str) -> None:
        """Forget the job's records, keep its files. Raises ``JobError`` for an active job, ``UnknownJob``."""
        status = self._store.record(name).status
        if status == "active":
            raise JobError(f"job {name} is active: kill it, or wait for its end, before it is cleaned")
        if status == "ready":
            self._results_of(name)  # saved results get their names, while these are known
        self._store.forget(name)

    def purge(self, name: str) -> None:
        """Kill the job if it is active, and delete its records and its files on every node. Idempotent.

        Waits for the nodes that are alive; one that is not deletes the files when it comes back. Saved
        results stay.
        """
        if not JOB_NAME.fullmatch(name):
            return  # no job is called so, and no node has files of it
        if self._store.statuses([name]) == ["ready"]:
            self._results_of(name)
        asked = self._store.purge(name)
        deadline = time.monotonic() + PURGE_PATIENCE_S
        while time.monotonic() < deadline:
            alive = live_slots(self._connection)
            if self._store.purge_done(name, [node for node in asked if node in alive]):
                return
            time.sleep(0.02)

    def pause(self, name: str) -> None:
        """Start no new tasks of the job until ``resume``. Raises ``JobError`` if it has ended."""
        self._store.set_paused(name, True)

    def resume(self, name: str) -> None:
        """Start tasks of a paused job again. Raises ``JobError`` if it has ended."""
        self._store.set_paused(name, False)

    # -- nodes

    def blacklist(self, node: str) -> None:
        """Give the node no new tasks. Survives restarts of everything."""
        NodeAdmin(self._connection).close(node, drain=False)

    def whitelist(self, node: str) -> None:
        """Give the node tasks again: the end of ``blacklist`` and of ``drain``."""
        NodeAdmin(self._connection).open(node)

    def drain(self, node: str) -> None:
        """Give the node no new tasks, and let it finish those that it has, queued ones too."""
        NodeAdmin(self._connection).close(node, drain=True)

    def forget(self, node: str) -> None:
        """Keep nothing more of a node that is gone for good: it leaves the lists, and no purge waits for it.

        If it comes back it is known again when it starts. Raises ``NodeAlive`` for a node that gave a sign of
        life within the last minute, ``DiscoError`` for one that is not known.
        """
        NodeAdmin(self._connection).forget(node)


def _task(text: str) -> TaskId:
    try:
        return TaskId.parse(text)
    except ValueError:
        raise DiscoError(f"{text!r} is no task: it takes map:N or reduce:N") from None


def _display(show: bool | Display | None) -> AbstractContextManager[Display | None]:
    if not show:
        return nullcontext()
    if show is not True:
        return show
    from rich.console import Console  # not at the top: only who looks pays for it

    from disco_rq.client.progress import display_for

    return display_for(Console(stderr=True), quiet=False)
