"""The JSON that the API answers with. Times are milliseconds since 1970 of the Redis server, sizes bytes."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from disco_rq.model import Phase
from disco_rq.store.viewing import NodeState
from disco_rq.views.contents import FailureExample as FailureExample
from disco_rq.views.contents import FailureGroup as FailureGroup
from disco_rq.views.contents import Failures as Failures
from disco_rq.views.contents import InputEntry as InputEntry
from disco_rq.views.contents import InputPart as InputPart
from disco_rq.views.contents import Inputs as Inputs
from disco_rq.views.contents import JobState as JobState
from disco_rq.views.contents import Preview as Preview
from disco_rq.views.contents import PreviewRecord as PreviewRecord
from disco_rq.views.contents import Result as Result
from disco_rq.views.contents import Results as Results
from disco_rq.views.forecast import Pilot as Pilot
from disco_rq.views.forecast import PilotRange as PilotRange
from disco_rq.views.leftovers import BadEntry as BadEntry
from disco_rq.views.leftovers import BadPage as BadPage
from disco_rq.views.leftovers import OOBEntry as OOBEntry
from disco_rq.views.leftovers import OOBPage as OOBPage
from disco_rq.views.leftovers import OOBValue as OOBValue
from disco_rq.views.load import Load as Load
from disco_rq.views.load import NodeLoad as NodeLoad
from disco_rq.views.owners import Owner as Owner
from disco_rq.views.secondruns import Check as Check
from disco_rq.views.secondruns import CheckedMap as CheckedMap
from disco_rq.views.secondruns import Checks as Checks


class Done(Struct):
    """An action was carried out."""

    ok: bool = True


class Session(Struct):
    """Who asks. ``csrf`` goes into the X-CSRF-Token header of every action."""

    role: Literal["admin", "viewer"]
    csrf: str
    needs_login: bool
    version: str


# -- the cluster


class Slot(Struct):
    """A worker process that is alive; ``task`` is the first of the ``tasks`` that it holds."""

    slot: str
    worker: str
    seen_ms: int
    job: str | None = None
    task: str | None = None
    tasks: int = 0
    since: int | None = None


class Node(Struct):
    """``seen``: its last sign of life; memory, disk and load as it told them last. ``closed``: why it takes
    no tasks of its own accord, such as a full disk; "" if it does. ``misfit``: why its secret does not fit
    the page's; "" if it does.
    """

    node: str
    host: str
    state: NodeState
    slots: list[Slot]
    seen: int | None
    ok: int
    data_error: int
    error: int
    lost: int
    memory_total: int | None
    memory_free: int | None
    disk_total: int | None
    disk_free: int | None
    load: float | None
    blacklisted: bool
    draining: bool
    closed: str
    misfit: str
    queued: int
    version: str
    python: str
    labels: dict[str, bool | float | str]


class Nodes(Struct):
    nodes: list[Node]


class Totals(Struct):
    """Jobs in all and active; slots alive and busy; tasks of the active jobs. ``in_batches``: of the
    ``running`` ones those that a slot holds beside the one that it runs.
    """

    jobs: int
    active: int
    slots: int
    busy: int
    waiting: int
    running: int
    in_batches: int


class Overview(Struct):
    """``leads``: a master does. ``suspended``: by ``rq suspend``, so that no worker takes anything.
    ``owners``: where slots are dealt among them.
    """

    now: int
    master: str
    leads: bool
    suspended: bool
    nodes: list[Node]
    totals: Totals
    owners: list[Owner]


# -- jobs


class TaskCounts(Struct):
    """``failed`` counts attempts; the others are tasks and add up to ``total``."""

    total: int
    waiting: int
    running: int
    done: int
    failed: int


class JobHead(Struct):
    """``died_of``: of a dead job the beginning of its cause."""

    name: str
    state: JobState
    paused: bool
    owner: str
    priority: int
    submitted: int
    ended: int | None
    maps: TaskCounts
    reduces: TaskCounts
    progress: float
    died_of: str | None


class Jobs(Struct):
    total: int
    offset: int
    limit: int
    jobs: list[JobHead]


class LiveOverview(Struct):
    """What the live stream sends: the jobs are those that are active, and those that ended just now."""

    overview: Overview
    jobs: list[JobHead]


class CountedFailure(Struct):
    node: str
    kind: str
    at: int
    attempt: int
    message: str
    url: str = ""


class Cause(Struct):
    """Why a job is dead. ``task`` is empty if it was killed."""

    message: str
    task: str = ""
    node: str = ""
    attempt: int = 0
    url: str = ""
    traceback: str = ""
    failures: list[CountedFailure] = []


class PhaseView(Struct):
    """``in_batches``: see ``Totals``. ``rate``: tasks a second since the phase began; ``remaining_s`` at that
    rate.
    """

    phase: Phase
    total: int
    waiting: int
    running: int
    done: int
    failed: int
    entries: int
    records: int
    bytes: int
    started: int | None
    ended: int | None
    rate: float | None
    remaining_s: float | None
    mean_ms: float | None
    in_batches: int


class Retried(Struct):
    """A job goes on as a new one, which has kept so many of its tasks."""

    job: str
    kept: int


class Job(JobHead):
    """``now_ms``: by the clock of Redis, as all times are. ``suspended``: it waits for ``rq resume``.
    ``waits``: for what, if it cannot go on.
    ``kept``: tasks of the job ``retry_of``, which goes on in this one. ``reused``: maps of other jobs;
    ``reuse``: why the others are run, and how many for each reason (null: it does not want that).
    ``pilot``: it has one. ``check``: of the maps that run twice; null: none does.
    """

    now_ms: int
    last_event: str
    suspended: bool
    waits: str
    nodes: list[str]
    msgs_dropped: int
    has_reduce: bool
    counters: dict[str, int]
    oob: int
    bad: int
    pilot: bool
    check: Check | None
    kept: int
    retry_of: str | None
    retried_as: str | None
    reused: int
    reuse: dict[str, int] | None
    cause: Cause | None
    phases: list[PhaseView]


# -- tasks


class Task(Struct):
    """``state``: of a dead job also ``failed``, and ``stopped`` by the end of the job (attempt 0: it never
    ran).
    """

    task: str
    state: Literal["waiting", "queued", "running", "done", "failed", "stopped"]
    attempt: int
    failures: int
    node: str
    worker: str
    started: int | None
    ended: int | None
    duration: int | None
    entries: int | None
    records: int | None
    bytes: int | None
    slow: bool


class Tasks(Struct):
    total: int
    offset: int
    limit: int
    phase: Phase
    mean_ms: float | None
    tasks: list[Task]


class Attempt(Struct):
    """``outcome``: done, overtaken (another was first), data, lost, error, fatal, killed, release (handed
    back, with no node if it had not begun); queued, running; stopped (the job ended before it began).
    ``replay``: the command that runs a failed one once more.
    """

    attempt: int
    node: str
    worker: str
    started: int | None
    ended: int | None
    duration: int | None
    outcome: str
    error: str | None
    traceback: str | None
    url: str | None
    replay: str | None
    entries: int | None
    records: int | None
    bytes: int | None


class TaskStory(Struct):
    """``parts``: which bytes of which files a map reads; ``inputs``: their addresses alone. ``now``: by the
    clock of Redis, as all times are. ``entries`` of an attempt that runs: as an
    event told them last; its log tells them live.
    """

    task: str
    state: str
    inputs: list[str]
    parts: list[InputPart]
    output: str | None
    attempts: list[Attempt]
    now: int


class Log(Struct):
    """What an attempt printed, 64 KiB at most; attempt 0: there was none. ``entries``: of one that runs, so
    many it has read, if its node knows.
    """

    task: str
    attempt: int
    text: str
    entries: int | None


class Bar(Struct, gc=False):
    """One task in a slot's row, or ``tasks`` neighbours of which ``task`` took longest; of a ``running`` one
    the batch that its slot holds. ``lost``: it ended at some time before its end.
    """

    start: int
    end: int
    tasks: int
    phase: Phase
    task: str
    failed: int
    running: int
    lost: int


class SlotRow(Struct):
    slot: str
    node: str
    bars: list[Bar]


class Timeline(Struct):
    start: int | None
    end: int | None
    merged: bool
    slots: list[SlotRow]


class PhasePace(Struct):
    """``done``: tasks a second; ``busy``: slots at work, on average; of each step."""

    phase: Phase
    done: list[float]
    busy: list[float]


class Pace(Struct):
    """Steps of ``step_ms`` from ``start`` on."""

    start: int | None
    step_ms: int
    phases: list[PhasePace]


class Partition(Struct):
    """``bytes``: what the maps wrote for it."""

    partition: int
    bytes: int
    task: str
    state: str
    duration: int | None
    slow: bool
    skewed: bool


class Partitions(Struct):
    total: int
    mean: float
    truncated: bool
    partitions: list[Partition]


class ProfiledFunction(Struct):
    """``time``: in seconds, without what it called; ``cumulative``: with that."""

    function: str
    file: str
    line: int
    primitive_calls: int
    calls: int
    time: float
    cumulative: float


class Profile(Struct):
    """``profiled``: the job was submitted with profile=True. ``tasks`` of the ``done`` ones were read.
    ``own_s``: seconds in functions of disco-rq itself, which are left out.
    """

    profiled: bool
    tasks: int
    done: int
    functions: list[ProfiledFunction]
    own_s: float


class Spec(Struct):
    """``defaults``: names of the arguments that are as ``new_job`` has them by itself; ``source``: what the
    functions say, by argument.
    """

    spec: dict[str, Any]
    defaults: list[str]
    source: dict[str, str]


class Event(Struct):
    """A line of a job's history: ``msg`` of the job itself, or ``sys``."""

    id: str
    at: int
    host: str
    kind: Literal["msg", "sys"]
    message: str


class Events(Struct):
    events: list[Event]
    more: bool
