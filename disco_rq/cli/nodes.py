"""The verbs about nodes: nodes, blacklist, whitelist, drain, forget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from disco_rq import Disco
from disco_rq.cli.arguments import connect, json_option, redis_option, verb
from disco_rq.cli.completion import complete_nodes
from disco_rq.cli.output import print_json, print_table, tell
from disco_rq.errors import DiscoError

COLUMNS = ("node", "state", "max_workers", "job_ok", "data_error", "error", "lost", "closed")


@verb("disco-rq nodes")
@redis_option
@json_option
def nodes(redis: str | None, as_json: bool) -> None:
    """List the nodes: in which state each is, how many workers are alive, and how its tasks fared.

    A node is alive, draining or drained, blacklisted, closed (of its own accord: the last column says why),
    left (it said good-bye, and is forgotten after a day), or gone. "other secret": doctor says more.
    """
    with connect(redis) as disco:
        found = disco.nodeinfo()
    if as_json:
        print_json(found)
        return
    rows = [{**node, "state": _state(node)} for node in found["available"]]
    print_table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows])


def _state(node: dict[str, Any]) -> str:
    """With what people have decided about a node that is away: it holds when it comes back."""
    decided = "blacklisted" if node["blacklisted"] else "draining" if node["draining"] else ""
    away = node["state"] in ("gone", "left")
    if node["misfit"]:
        return f"{node['state']}, other secret"
    return f"{node['state']}, {decided}" if away and decided else str(node["state"])


node_names = click.argument("names", nargs=-1, required=True, metavar="NODE…", shell_complete=complete_nodes)


@verb("disco-rq drain node7")
@node_names
@redis_option
@json_option
def drain(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Give nodes no new tasks, and let them finish what they have."""
    _each(redis, names, Disco.drain, "gets no new tasks, and finishes what it has", as_json)


@verb("disco-rq blacklist node7")
@node_names
@redis_option
@json_option
def blacklist(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Give nodes no new tasks, and what is queued there to others. It holds until they are whitelisted."""
    _each(redis, names, Disco.blacklist, "gets no new tasks; what was queued there goes to others", as_json)


@verb("disco-rq whitelist node7")
@node_names
@redis_option
@json_option
def whitelist(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Give nodes tasks again: the end of drain and of blacklist."""
    _each(redis, names, Disco.whitelist, "gets tasks again", as_json)


@verb("disco-rq forget node7")
@node_names
@redis_option
@json_option
def forget(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Take nodes that are gone for good off the list: gone for a minute at least.

    One that comes back is known again when it starts, without what was decided about it.
    """
    _each(redis, names, Disco.forget, "is forgotten", as_json)


def _each(
    redis: str | None, names: tuple[str, ...], change: Callable[[Disco, str], None], told: str, as_json: bool
) -> None:
    with connect(redis) as disco:
        known = {node["node"] for node in disco.nodeinfo()["available"]}
        for name in names:
            if name not in known and change is not Disco.whitelist:  # which looks itself
                there = f"there are {' '.join(sorted(known))}" if known else "there is none"
                raise DiscoError(f"unknown node {name!r}: {there}")
        for name in names:
            change(disco, name)
            if not as_json:
                tell(f"node {name} {told}")
    if as_json:
        print_json({"nodes": names, "did": change.__name__})


VERBS = (nodes, drain, blacklist, whitelist, forget)
