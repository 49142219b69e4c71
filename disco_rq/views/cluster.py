"""The cluster: its nodes, their slots, and what these run."""

from __future__ import annotations

from disco_rq.model import PHASES
from disco_rq.packing import misfit
from disco_rq.store.viewing import ClusterView, JobHead, NodeView, SlotView, slot_of
from disco_rq.views import shapes
from disco_rq.views.asked import Asked
from disco_rq.views.owners import owners_of
from disco_rq.views.sources import Sources

__all__ = ["load", "nodes", "overview", "overview_of"]


def overview(sources: Sources, _asked: Asked) -> shapes.Overview:
    cluster = sources.view.cluster()
    return overview_of(sources, cluster, sources.view.heads(cluster.active))


def nodes(sources: Sources, _asked: Asked) -> shapes.Nodes:
    cluster = sources.view.cluster()
    return shapes.Nodes([_node(sources, node, cluster.now_ms) for node in cluster.nodes])


def load(sources: Sources, _asked: Asked) -> shapes.Load:
    return sources.load.told()


def overview_of(sources: Sources, cluster: ClusterView, active: list[JobHead]) -> shapes.Overview:
    """The overview of a cluster, given the heads of its active jobs."""
    slots = [slot for node in cluster.nodes for slot in node.slots]
    totals = shapes.Totals(
        jobs=cluster.jobs,
        active=len(cluster.active),
        slots=len(slots),
        busy=sum(slot.held is not None for slot in slots),
        waiting=sum(head.count(f"{phase}:waiting") for head in active for phase in PHASES),
        running=sum(head.count(f"{phase}:running") for head in active for phase in PHASES),
        in_batches=sum(slot.held.tasks - 1 for slot in slots if slot.held is not None),
    )
    listed = [_node(sources, node, cluster.now_ms) for node in cluster.nodes]
    return shapes.Overview(
        now=cluster.now_ms,
        master=cluster.master,
        leads=cluster.leads,
        suspended=cluster.suspended,
        nodes=listed,
        totals=totals,
        owners=owners_of(cluster, active),
    )


def _node(sources: Sources, node: NodeView, now_ms: int) -> shapes.Node:
    about = node.about

    def number(field: str) -> int | None:
        return int(about[field]) if field in about else None

    return shapes.Node(
        node=node.name,
        host=about.get("host", ""),
        state=node.state,
        slots=[_slot(slot, now_ms) for slot in node.slots],
        seen=max((slot.seen_ms for slot in node.slots), default=number("seen")),
        ok=number("done") or 0,
        data_error=number("data_error") or 0,
        error=number("error") or 0,
        lost=number("lost") or 0,
        memory_total=number("memory_total"),
        memory_free=number("memory_free"),
        disk_total=number("disk_total"),
        disk_free=number("disk_free"),
        load=float(about["load"]) if "load" in about else None,
        blacklisted=node.blacklisted,
        draining=node.draining,
        closed=node.closed,
        misfit=misfit(sources.secret, about.get("secret")) if node.slots else "",
        queued=node.queued,
        version=about.get("version", ""),
        python=about.get("python", ""),
        labels=dict(node.labels),
    )


def _slot(slot: SlotView, now_ms: int) -> shapes.Slot:
    shown = shapes.Slot(slot_of(slot.worker), slot.worker, max(now_ms - slot.seen_ms, 0))
    if slot.held is not None:
        shown.job, shown.task = slot.held.job, str(slot.held.first_task)
        shown.tasks, shown.since = slot.held.tasks, slot.held.since_ms
    return shown
