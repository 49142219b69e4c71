"""One job of a cluster: what one may ask of it and do to it."""

from __future__ import annotations

import pstats
import time
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from disco_rq.client.arguments import Inputs, JobArguments
from disco_rq.client.badentries import bad_entries
from disco_rq.client.facts import job_facts
from disco_rq.client.jobclass import check_class
from disco_rq.client.notebook import job_html, shower
from disco_rq.client.piloting import pilot_facts
from disco_rq.client.replay import replay
from disco_rq.client.results import Results, read_beside, read_log, read_so_far
from disco_rq.client.retrying import retry
from disco_rq.client.session import HasSession, Submitted
from disco_rq.client.stageresults import stage_results
from disco_rq.client.streaming import stream
from disco_rq.client.submission import ARGUMENTS
from disco_rq.client.tables import to_arrow, to_pandas, to_polars
from disco_rq.client.waiting import wait_any, wait_ready
from disco_rq.errors import DiscoError, JobArgumentError, JobError, UnknownJob
from disco_rq.model import JOB_NAME, PHASES, BadEntry, ResultStatus, TaskId
from disco_rq.outputs.addresses import output_address
from disco_rq.outputs.profiles import SUFFIX as PROFILE_SUFFIX
from disco_rq.outputs.profiles import merged, profiled_outputs
from disco_rq.store.badentries import BadTasks
from disco_rq.store.nodes import live_slots

if TYPE_CHECKING:
    from disco_rq.client.progress import Display

PURGE_PATIENCE_S = 10.0
"""For how long ``purge`` waits for the nodes that are alive to delete the files; those that are not do it
later.
"""


class Job:
    """One job of a cluster; the methods of ``Disco`` that take a job's name are these, of that job.

    A subclass may describe a job: its attributes are the arguments of ``new_job``, its functions static
    methods; ``submit`` starts it.
    """

    def __init__(self, disco: HasSession, name: str) -> None:
        """``disco``: a ``Disco``. ``name``: the job's whole name."""
        self._disco = disco
        self._session = disco.session
        self._store = disco.session.store
        self.name = name
        self.is_shared = False
        """True of a ``unique`` job that was there when it was submitted here: others may wait for it."""

    @classmethod
    def submit(
        cls,
        disco: HasSession,
        input: Inputs | None = None,
        **arguments: Unpack[JobArguments],
    ) -> Self:
        """Submit the job that the class describes and return at once. What is given here wins over the class.

        The job's name begins with the class attribute ``name``, or with the name of the class. Raises what
        ``new_job`` raises.
        """
        described: dict[str, Any] = {what: getattr(cls, what) for what in ARGUMENTS if hasattr(cls, what)}
        check_class(cls, Job)
        for name in sorted(set(dir(cls)) - set(dir(Job)) - set(ARGUMENTS)):
            near = [] if name.startswith("_") else get_close_matches(name, ARGUMENTS, 1, 0.85)
            if near and near[0] not in described and near[0] not in arguments:
                raise JobArgumentError(f"{cls.__qualname__}.{name} is no argument of a job ({near[0]}?)")
        described |= {"name": described.get("name", cls.__name__), **arguments}
        if input is not None or "input" not in described:
            described["input"] = input
        name = described.pop("name")
        return submitted(cls, disco, disco.session.submit(name, described.pop("input"), described))

    def __repr__(self) -> str:
        return f"<Job {self.name}>"

    def wait(
        self,
        timeout: float | None = None,
        poll_interval: float = 5.0,
        clean: bool = False,
        show: bool | Display | None = None,
    ) -> Results:
        """Block until the job has ended; return the addresses of its results.

        Raises ``JobError``: with the first cause if the job is dead, with ``"Timeout"`` after ``timeout``
        seconds, in which case the job goes on. ``poll_interval``: seconds after which the status is looked up
        even if no event came. ``clean``: forget the job's records when it is ready. ``show``: events and
        progress on stderr (True), in a notebook in the cell (unless False), or in a display of your own.
        Who interrupts a cell that shows a job kills the job, unless it ``is_shared``.
        """
        with shower(self, show) as display:
            results = wait_ready(self._session, self.name, timeout, poll_interval, display)
        if clean:
            self.clean()
        return results

    _repr_html_ = job_html
    stage_results = stage_results
    stream = stream
    to_arrow = to_arrow
    to_pandas = to_pandas
    to_polars = to_polars
    retry = retry
    replay = replay

    def results(self, timeout: float = 2.0) -> tuple[ResultStatus, list[str]]:
        """``(status, addresses)``; waits at most ``timeout`` seconds for the job's end."""
        finished, active = wait_any(self._session, [self.name], timeout)
        return (finished or active)[0][1]

    def jobinfo(self) -> dict[str, Any]:
        """The job in numbers.

        - ``timestamp`` (seconds since 1970), ``ended``, ``owner``, ``priority``
        - ``active`` (its status), ``paused``, ``suspended`` (by ``rq suspend``), ``cause`` (None, or a dict)
        - ``mapi`` and ``redi`` (``[waiting, running, done, failed]``), ``reduce`` (whether it has one)
        - ``inputs`` (the first 100), ``nodes``, ``results``
        - ``counters``, ``msgs_dropped``, ``pilot`` (None, or a dict)
        - ``copies`` (of tasks that lagged), ``bad`` (entries that were left out)
        - ``kept`` (tasks of the job that it goes on with), ``reused`` (maps of earlier jobs)
        - ``reuse`` (with ``reuse=True``: why the others are run, and how many for each reason)
        - ``check`` (of the maps that are checked: ``maps``, ``done``, ``unchecked``, which could not be, and
          ``seconds`` of slots; None if none is)
        - ``entries``, ``records`` and ``bytes`` (each by phase)
        """
        record = self._store.record(self.name)
        results = list(self._session.results_of(self.name, settled=False)) if record.status == "ready" else []
        pilot = pilot_facts(self._session.connection, lambda: self._store.spec(self.name), self.name, record)
        return {**job_facts(self._store, self.name, record), "pilot": pilot, "results": results}

    def jobspec(self) -> dict[str, Any]:
        """Every argument of ``new_job`` as the job was submitted with it, or its default.

        Plain data: functions by their names, ``params`` by their ``repr``, ``input`` the first 100 entries;
        ``name`` is the job's whole name. Raises ``UnknownJob``.
        """
        return dict(self._store.spec(self.name).details.get("arguments", {}))

    def events(self, offset: str = "0-0") -> Iterator[tuple[str, tuple[float, str, str]]]:
        """The job's history after ``offset``, oldest first: ``(offset, (timestamp, host, message))``.

        Ends with what is there now; go on with the last offset. Raises ``UnknownJob``.
        """
        self._store.record(self.name)
        for event in self._session.history.events(self.name, offset):
            yield event.offset, (event.timestamp, event.host, event.message)

    def story(self, task: str) -> list[dict[str, Any]]:
        """The attempts of a task (``map:3``), oldest first.

        For each a dict:

        - ``attempt``, ``node``, ``worker``
        - ``started`` and ``ended`` (milliseconds since 1970, None if not yet)
        - ``outcome`` (queued, running, done, overtaken, data, lost, error, fatal, killed; release: handed
          back; stopped: the job ended before it began)
        - ``error``, or ``entries``, ``records`` and ``bytes``

        Empty: never tried. Raises ``UnknownJob``, ``DiscoError`` if it has no such task.
        """
        return self._story(_task_named(task))

    def _story(self, task: TaskId) -> list[dict[str, Any]]:
        phase = "map" if task.phase == "check" else task.phase
        number = self._store.record(self.name).count(f"nr_{phase}s")
        if task.index >= number:
            last = f"the last is {TaskId(task.phase, number - 1)}" if number else f"it has no {task.phase}s"
            raise DiscoError(f"job {self.name} has no task {task}: {last}")
        return self._store.story(self.name, task)

    def log(self, task: str, attempt: int | None = None) -> str:
        """What an attempt of a task printed and logged (default: the last one), 64 KiB at most.

        Of one that runs the last 16 KiB, from its first half second on. Empty if it printed nothing. Raises
        what ``story`` does, and ``DataError`` if its node cannot be read.
        """
        named = _task_named(task)
        begun = [one for one in self._story(named) if one["started"]]
        wanted = [one for one in begun if attempt is None or one["attempt"] == attempt]
        if not wanted:
            return ""
        node, number = wanted[-1]["node"], wanted[-1]["attempt"]
        address = wanted[-1].get("of") or output_address(node, self.name, named, number)
        if wanted[-1]["outcome"] == "running":
            return read_so_far(self._session.locator, address).text
        return read_log(self._session.locator, address)

    def profile_stats(self, mode: str = "") -> pstats.Stats:
        """The profiles of the job's tasks that are done, as one. ``mode``: "map" or "reduce", "" for both.

        Raises ``JobError("No profile data")`` if the job was not submitted with ``profile=True``, or no such
        task is done; ``UnknownJob``; ``DataError`` if a node cannot be read.
        """
        if mode not in ("", *PHASES):
            raise DiscoError(f'mode={mode!r}: it takes "map", "reduce", or "" for both')
        self._store.record(self.name)
        addresses = profiled_outputs(self.name, self._store.attempts(self.name), mode)
        found = (
            (address, read_beside(self._session.locator, address, PROFILE_SUFFIX)) for address in addresses
        )
        stats = merged((address, data) for address, data in found if data is not None)
        if stats is None:
            raise JobError(f"No profile data: job {self.name} has none{mode and f' of a {mode}'}")
        return stats

    def bad_entries(self) -> Iterator[BadEntry]:
        """The entries that the job's maps have left out: of those that are done, in the order of tasks.

        Of a job that had more than ``max_bad`` allows, those of the task that was too much, too. Raises
        ``UnknownJob``; ``DataError``, behind all the others, if the node that holds some cannot be read.
        """
        self._store.record(self.name)
        tasks = BadTasks(self._session.connection).of(self.name)
        yield from bad_entries(self._session.locator, self.name, tasks)

    def oob_list(self) -> list[str]:
        """The keys of the job's committed OOB results, sorted. Raises ``OOBNotFound`` for an unknown job."""
        return self._store.oob_list(self.name)

    def oob_get(self, key: str) -> Any:
        """A committed OOB result, of the type that was put. Raises ``OOBNotFound`` if there is none."""
        return self._store.oob_get(self.name, key)

    def kill(self) -> None:
        """End the job and what it runs; it is dead then. Idempotent. Raises ``UnknownJob``."""
        if not JOB_NAME.fullmatch(self.name) or not self._session.ending.kill(self.name, "it was killed"):
            raise UnknownJob(f"unknown job {self.name!r}")

    def clean(self) -> None:
        """Forget the job's records, keep its files. Raises ``JobError`` for an active job, ``UnknownJob``."""
        status = self._store.record(self.name).status
        if status == "active":
            raise JobError(f"job {self.name} is active: kill it, or wait for its end, before it is cleaned")
        if status == "ready":
            self._session.settle(self.name)
        self._session.ending.clean(self.name)

    def purge(self) -> None:
        """Kill the job if it is active, and delete its records and its files on every node. Idempotent.

        Of a job that has ended it deletes those files itself that can be read from here. It waits for the
        nodes that are alive to do the rest; one that is not deletes the files when it comes back. Saved
        results stay.
        """
        if not JOB_NAME.fullmatch(self.name):
            return  # no job is called so, and no node has files of it
        [status] = self._store.statuses([self.name])
        if status == "ready":
            self._session.settle(self.name)
        ending = self._session.ending
        # Where jobs are signed, nodes have to hear which of them are gone for good.
        if status in ("ready", "dead") and not self._session.has_secret:
            asked = ending.purge(self.name, is_over=True, delete_here=self._session.delete_here)
        else:
            asked = ending.purge(self.name)
        deadline, pause_s = time.monotonic() + PURGE_PATIENCE_S, 0.001
        while asked and time.monotonic() < deadline:
            time.sleep(pause_s)  # a node deletes some small files in a millisecond
            alive = live_slots(self._session.connection)
            if ending.purge_done(self.name, [node for node in asked if node in alive]):
                return
            pause_s = min(2 * pause_s, 0.05)

    def pause(self) -> None:
        """Start no new tasks of the job until ``resume``. Raises ``JobError`` if it has ended."""
        self._store.set_paused(self.name, True)

    def resume(self) -> None:
        """Start tasks of a paused job again. Raises ``JobError`` if it has ended."""
        self._store.set_paused(self.name, False)


def _task_named(text: str) -> TaskId:
    try:
        return TaskId.parse(text)
    except ValueError:
        raise DiscoError(f"{text!r} is no task: it takes map:N or reduce:N") from None


J = TypeVar("J", bound=Job)


def submitted(kind: type[J], disco: HasSession, found: Submitted) -> J:
    """The job that a submit gives."""
    job = kind(disco, found.name)
    job.is_shared = found.is_shared
    return job
