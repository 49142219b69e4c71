"""How the slots are dealt among the owners of jobs, where the master has shares or caps for them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from disco_rq.model import PHASES
from disco_rq.planning.owners import OTHERS
from disco_rq.store.viewing import ClusterView, JobHead

__all__ = ["Owner", "owners_of"]


class Owner(Struct):
    """``share``: against the others' (null: nobody has one); ``most``: slots at most (null: any number).
    ``busy``: slots with tasks of its jobs; ``waiting``: tasks.
    """

    owner: str
    share: float | None
    most: int | None
    busy: int
    waiting: int
    jobs: int


def owners_of(cluster: ClusterView, active: Sequence[JobHead]) -> list[Owner]:
    """Those that are named, and those that have active jobs; nobody where the master names nobody."""
    portions = cluster.portions
    if not (portions.shares or portions.slots):
        return []
    named = {*portions.shares, *portions.slots} - {OTHERS}
    found = {
        name: Owner(
            name,
            portions.share(name) if portions.shares else None,
            None if portions.most(name) == float("inf") else int(portions.most(name)),
            0,
            0,
            0,
        )
        for name in sorted({*named, *(head.fields.get("owner", "") for head in active)})
    }
    owner_of = {head.name: found[head.fields.get("owner", "")] for head in active}
    for head in active:
        owner_of[head.name].jobs += 1
        owner_of[head.name].waiting += sum(head.count(f"{phase}:waiting") for phase in PHASES)
    for slot in (slot for node in cluster.nodes for slot in node.slots):
        if slot.held is not None and slot.held.job in owner_of:
            owner_of[slot.held.job].busy += 1
    return list(found.values())
