"""How many slots a job would keep busy now, as many as there were: what autoscalers ask."""

from __future__ import annotations

import math
from collections.abc import Mapping

from disco_rq.model import JobSpec
from disco_rq.planning.labels import told_needs
from disco_rq.store.viewing import JobHead

__all__ = ["slots_wanted"]


def slots_wanted(head: JobHead, spec: JobSpec, pilot_left: int, most: float) -> Mapping[str, int]:
    """Its tasks that run, and those that could, by what they need of a node ("": any will do).

    ``pilot_left``: so many maps of its pilot are not done; 0: it has none, or it is over.
    ``most``: slots that its owner may have for it.
    """
    running = {phase: head.count(f"{phase}:running") for phase in ("map", "reduce", "check")}
    waiting = {phase: head.count(f"{phase}:waiting") for phase in running}
    if head.count("paused"):
        waiting = dict.fromkeys(running, 0)
    if waiting["map"] or running["map"]:
        waiting["reduce"] = 0
    if pilot_left:
        waiting["map"] = min(waiting["map"], max(pilot_left - running["map"], 0))
    waiting["check"] = min(waiting["check"], _checks_due(head))
    most = min(most, math.inf if spec.max_cores is None else spec.max_cores)
    room = max(most - sum(running.values()), 0)
    wanted: dict[str, int] = {}
    for phase, now in running.items():
        more = int(min(waiting[phase], room))
        room -= more
        needs = told_needs(spec.needs.get("map" if phase == "check" else phase, {}))
        wanted[needs] = wanted.get(needs, 0) + now + more
    return {needs: number for needs, number in wanted.items() if number}


def _checks_due(head: JobHead) -> int:
    """About how many checks can run: they wait for their maps, and the checked maps are spread over all."""
    waiting, begun = head.count("check:waiting"), head.count("check:running") + head.count("check:done")
    maps = head.count("nr_maps")
    return max(math.ceil((waiting + begun) * head.count("map:done") / maps) - begun, 0) if maps else 0
