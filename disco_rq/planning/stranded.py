"""Which jobs cannot go on, for lack of a node or of a slot for their owner. Pure, like the board."""

from __future__ import annotations

from disco_rq.planning.board import Board, has_needs
from disco_rq.planning.labels import missing


def stranded(board: Board) -> dict[str, str]:
    """The jobs that cannot go on with the nodes there are, each with what it waits for."""
    usable = {name for name, node in board.nodes.items() if node.is_open}
    if not board.nodes:
        return dict.fromkeys(board.jobs, "No node is alive: the job waits for one")
    if not usable:
        why = "; ".join(f"{name}: {node.why_closed}" for name, node in sorted(board.nodes.items())[:5])
        return dict.fromkeys(board.jobs, f"No node takes tasks ({why}): the job waits for one")
    answer = {}
    open_labels = [board.nodes[name].labels for name in usable]
    for job in board.jobs.values():
        if usable <= job.refused.keys():
            why = "; ".join(sorted({job.refused[name] for name in usable})[:5])
            answer[job.name] = f"No node here can run it: the job waits for another ({why})"
            continue
        phase = job.open_phase()[0]
        fit = [name for name in usable - job.refused.keys() if has_needs(board, job, phase, name)]
        if not fit and not job.running:
            what = missing(open_labels, job.needs[phase])
            answer[job.name] = f"No node has {what}, which its {phase}s need: the job waits for one"
            continue
        if job.running or not job.maps.pending or not (job.force_local or job.force_remote):
            continue
        homes = {job.preferred.get(index, "") for index in job.maps.pending}
        named = " and ".join(sorted(homes))
        if "" in homes:
            continue  # what has no home may run everywhere
        if job.force_local and homes.isdisjoint(usable):
            answer[job.name] = f"force_local: the job waits for {named}"
        elif job.force_remote and homes == usable and len(usable) == 1:
            answer[job.name] = f"force_remote: the job waits for another node than {named}"
    return answer


def crowded(board: Board) -> dict[str, str]:
    """The jobs that have no slot at all because their owner may have no more, or has to wait for its turn."""
    portions, held = board.owners.portions, board.owners.held
    if not (portions.shares or portions.slots):
        return {}
    jobs = [job for job in board.jobs.values() if not job.batches and job.turn_now() is not None]
    taken = not any(node.is_open and node.batches < node.slots for node in board.nodes.values())
    owners = {*held, *(job.owner for job in jobs)}
    whole = sum(map(portions.share, owners))
    answer = {}
    for job in jobs:
        if board.owners.is_capped(job.owner):
            answer[job.name] = (
                f"Owner {job.owner} may have {portions.most(job.owner):g} slots, and has them "
                "(DISCO_RQ_OWNER_SLOTS): the job waits for one of these"
            )
        elif portions.shares and taken and len(owners) > 1:
            share = f"{portions.share(job.owner):g} of {whole:g}"
            answer[job.name] = (
                f"All slots are taken, and owner {job.owner} has a share of {share} (DISCO_RQ_SHARES): "
                "the job waits for its turn"
            )
    return answer
