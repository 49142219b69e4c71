"""What Prometheus reads, and what a load balancer asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response

from disco_rq.errors import DiscoError, UnknownJob
from disco_rq.model import DURATION_CLASSES_MS, PHASES
from disco_rq.store.jobs import JobStore
from disco_rq.store.viewing import ClusterView, JobHead, NodeView, ViewStore
from disco_rq.version import __version__
from disco_rq.views.asked import Asked
from disco_rq.views.owners import Owner, owners_of
from disco_rq.views.sources import Sources
from disco_rq.views.wanted import slots_wanted

__all__ = ["health", "metrics"]

KINDS = (*PHASES, "check")
OUTCOMES = {"done": "done", "data_error": "data_error", "error": "error", "lost": "lost"}


def metrics(sources: Sources, _asked: Asked) -> Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Cluster(sources.view, sources.jobs))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def health(sources: Sources, _asked: Asked) -> Response:
    """200 while Redis answers and a master leads."""
    try:
        cluster = sources.view.cluster()
    except DiscoError:
        return JSONResponse({"status": "Redis cannot be reached"}, 503)
    if not cluster.leads:
        return JSONResponse({"status": "no master leads"}, 503)
    return JSONResponse({"status": "ok"})


class _Cluster(Collector):
    """Reads everything anew: the totals are in Redis, where all processes count together."""

    def __init__(self, view: ViewStore, jobs: JobStore) -> None:
        self._view = view
        self._job_store = jobs

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        cluster = self._view.cluster()
        yield _gauge("disco_info", "Which version answers.", ["version"], [([__version__], 1)])
        yield _gauge(
            "disco_redis_round_trip_seconds",
            "How long Redis takes to answer nothing.",
            [],
            [([], self._view.round_trip_s())],
        )
        yield from _memory(*self._view.memory())
        yield _gauge("disco_leader", "1 while a master leads.", [], [([], int(cluster.leads))])
        yield from self._jobs(cluster)
        yield from _owners(owners_of(cluster, self._view.heads(cluster.active)))
        yield from _nodes(cluster.nodes)
        yield from _outcomes(cluster.nodes)
        yield _durations(cluster.nodes)
        totals = self._view.totals()
        yield _counter(
            "disco_messages_dropped",
            "Messages of jobs over their quota.",
            [],
            [([], totals.get("msgs_dropped", 0))],
        )
        yield _counter(
            "disco_oob_refused", "OOB results over a task's quota.", [], [([], totals.get("oob_refused", 0))]
        )
        yield _counter("disco_copies", "Copies of tasks that lagged.", [], [([], totals.get("copies", 0))])

    def _jobs(self, cluster: ClusterView) -> Iterator[Metric]:
        heads = self._view.heads(cluster.active)
        yield _gauge("disco_jobs_active", "Jobs that are active.", [], [([], len(heads))])
        yield _gauge("disco_jobs", "Jobs with records, active ones too.", [], [([], cluster.jobs)])
        counted = dict.fromkeys(product(KINDS, ("waiting", "paused", "running", "done")), 0)
        for head, phase in product(heads, KINDS):
            waiting = "paused" if head.count("paused") else "waiting"
            counted[phase, waiting] += head.count(f"{phase}:waiting")
            for state in ("running", "done"):
                counted[phase, state] += head.count(f"{phase}:{state}")
        what = "Tasks of the active jobs; paused: they wait until their job is resumed."
        yield _gauge("disco_tasks", what, ["phase", "state"], [(list(of), n) for of, n in counted.items()])
        yield self._slots_wanted(cluster, heads)

    def _slots_wanted(self, cluster: ClusterView, heads: Sequence[JobHead]) -> Metric:
        wanted = {("0", ""): 0}  # also with nothing to do: an autoscaler takes none for a fault
        left: dict[str, float] = {}  # of each owner: what it may have beside the jobs that came before
        for head in sorted(heads, key=lambda head: -head.count("priority")):
            priority, owner = str(head.count("priority")), head.fields.get("owner", "")
            most = left.get(owner, cluster.portions.most(owner))
            try:
                spec = self._job_store.spec(head.name)
            except UnknownJob:  # purged meanwhile
                continue
            pilot_left = self._view.pilot_left(head.name) if spec.pilot else 0
            for needs, number in slots_wanted(head, spec, pilot_left, most).items():
                most -= number
                wanted[priority, needs] = wanted.get((priority, needs), 0) + number
            left[owner] = max(most, 0)
        what = (
            "Slots that the active jobs would keep busy now, as many as there were, by what they need of a "
            "node; for autoscalers."
        )
        values = [(list(of), number) for of, number in wanted.items()]
        return _gauge("disco_slots_wanted", what, ["priority", "needs"], values)


def _memory(used: int, limit: int) -> Iterator[Metric]:
    yield _gauge("disco_redis_memory_bytes", "Memory that Redis holds.", [], [([], used)])
    limits: list[tuple[list[str], int]] = [([], limit)] if limit else []
    yield _gauge("disco_redis_memory_limit_bytes", "Its maxmemory, if it has one.", [], limits)


def _nodes(nodes: Sequence[NodeView]) -> Iterator[Metric]:
    names = [node.name for node in nodes]

    def gauge(name: str, what: str, values: Sequence[float]) -> Metric:
        return _gauge(
            name, what, ["node"], [([node], value) for node, value in zip(names, values, strict=True)]
        )

    up = [([node.name], int(bool(node.slots))) for node in nodes if node.state != "left"]
    yield _gauge("disco_node_up", "1 while the node has a live worker; none of one that left.", ["node"], up)
    yield gauge("disco_node_slots", "Workers that are alive.", [len(n.slots) for n in nodes])
    busy = [sum(slot.held is not None for slot in node.slots) for node in nodes]
    yield gauge("disco_node_slots_busy", "Workers that run a task.", busy)
    yield gauge("disco_node_queue_batches", "Batches in the node's queue.", [n.queued for n in nodes])
    yield gauge("disco_node_blacklisted", "1 while it gets no tasks.", [int(n.blacklisted) for n in nodes])
    yield gauge("disco_node_draining", "1 while it only finishes.", [int(n.draining) for n in nodes])
    closed = [int(bool(n.closed)) for n in nodes]
    yield gauge(
        "disco_node_closed",
        "1 while it takes no tasks: its disk is full, it leaves, RQ is suspended.",
        closed,
    )
    for field, what in (
        ("memory_total", "Memory of the node."),
        ("memory_free", "Memory that is free."),
        ("disk_total", "Size of the disk with the node's files."),
        ("disk_free", "What is free of it."),
    ):
        samples = [([node.name], float(node.about[field])) for node in nodes if field in node.about]
        yield _gauge(f"disco_node_{field}_bytes", what, ["node"], samples)


def _owners(owners: Sequence[Owner]) -> Iterator[Metric]:
    """None where the master has no shares and no caps for them."""

    def gauge(name: str, what: str, values: Sequence[float | None]) -> Metric:
        pairs = zip(owners, values, strict=True)
        return _gauge(name, what, ["owner"], [([of.owner], n) for of, n in pairs if n is not None])

    yield gauge("disco_owner_slots_busy", "Slots with tasks of the owner's jobs.", [o.busy for o in owners])
    yield gauge("disco_owner_tasks_waiting", "Tasks of its jobs that wait.", [o.waiting for o in owners])
    yield gauge(
        "disco_owner_share", "Its share of the slots, against the others'.", [o.share for o in owners]
    )
    yield gauge("disco_owner_slots_limit", "Slots that it has at most.", [o.most for o in owners])


def _outcomes(nodes: Sequence[NodeView]) -> Iterator[Metric]:
    samples = [
        ([node.name, outcome], int(node.about.get(field, 0)))
        for node in nodes
        for outcome, field in OUTCOMES.items()
    ]
    yield _counter(
        "disco_attempts",
        "Attempts that ended: done, or failed and retried for bad data, another error, or a lost worker.",
        ["node", "outcome"],
        samples,
    )
    for field, name, what in (
        ("records", "disco_output_records", "Records that tasks wrote."),
        ("bytes", "disco_output_bytes", "Bytes that tasks wrote."),
    ):
        yield _counter(name, what, ["node"], [([node.name], int(node.about.get(field, 0))) for node in nodes])


def _durations(nodes: Sequence[NodeView]) -> Metric:
    family = HistogramMetricFamily(
        "disco_task_duration_seconds", "How long done tasks took.", labels=["node"]
    )
    for node in nodes:
        buckets, so_far = [], 0
        for ms in DURATION_CLASSES_MS:
            so_far += int(node.about.get(f"done_under:{ms}", 0))
            buckets.append((str(ms / 1000), float(so_far)))
        buckets.append(("+Inf", float(so_far + int(node.about.get("done_under:inf", 0)))))
        family.add_metric([node.name], buckets, int(node.about.get("ms", 0)) / 1000)
    return family


def _gauge(
    name: str, what: str, labels: Sequence[str], samples: Sequence[tuple[Sequence[str], float]]
) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(
    name: str, what: str, labels: Sequence[str], samples: Sequence[tuple[Sequence[str], float]]
) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
