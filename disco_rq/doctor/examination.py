"""What is wrong with a cluster, or will be: looked at from where this runs. Nothing is changed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from disco_rq.doctor.finding import Finding
from disco_rq.doctor.machines import MOST_NAMED, Here, node_findings
from disco_rq.doctor.products import product_findings
from disco_rq.doctor.server import restart_findings, server_findings, unreached_server
from disco_rq.errors import ConnectionLost, DataError
from disco_rq.machine.packages import installed
from disco_rq.machine.unread import unread
from disco_rq.outputs.locator import Server, readable_root, server_of
from disco_rq.outputs.remote import NETWORK_ERRORS, ask, reason
from disco_rq.packing import fingerprints
from disco_rq.planning.owners import portions_of
from disco_rq.settings import Settings, rq_program
from disco_rq.store import keys
from disco_rq.store.clock import local_ahead_ms
from disco_rq.store.connection import Connection
from disco_rq.store.ends import WEBHOOK_QUEUE
from disco_rq.store.nodes import SUSPENDED, closed_nodes, is_suspended
from disco_rq.store.queues import untended
from disco_rq.store.unreadable import answer, lines
from disco_rq.store.viewing import ClusterView, NodeView, ViewStore
from disco_rq.version import PROTOCOL, __version__

__all__ = ["Finding", "examine"]

SILENCE_S = 3.0
"""For how long a server's answer is waited for."""
AT_A_TIME = 16


def examine(url: str, settings: Settings) -> list[Finding]:
    """Everything that was looked at. Without a Redis that answers, that is all there is to tell."""
    connection = Connection(url, patience_s=SILENCE_S)
    try:
        connection.check()
    except ConnectionLost as error:
        return [Finding("fail", "redis", str(error), unreached_server(str(error)))]
    view = ViewStore(connection)
    round_trip_s = min(view.round_trip_s() for _ in range(3))
    info: Any = connection.redis.info()
    found = server_findings(connection.address, info, round_trip_s, local_ahead_ms(connection))
    if (default_user := view.default_user()) is not None:
        found += restart_findings(default_user, info)
    found += product_findings(url, info)
    cluster = view.cluster()
    found += _master_findings(cluster)
    if is_suspended(connection.redis):
        found.append(
            Finding(
                "fail",
                "rq",
                "suspended on this Redis: no worker takes anything",
                f"'{rq_program(os.environ)} resume --url …'",
            )
        )
    found += _untold(connection)
    found += _waiting(view)
    found += _portions(settings)
    do = "unset it, or give it the right name; of a newer disco-rq it is read there alone"
    found += [Finding("warn", "settings", text, do) for text in unread(os.environ)]
    here = Here(
        python=platform.python_version(),
        version=__version__,
        protocol=PROTOCOL,
        secret=fingerprints(settings.secret),
        packages=installed(),
        rq_prefix=keys.rq_keys(),
    )
    alive = [node for node in cluster.nodes if node.slots]
    found += node_findings(
        cluster.nodes,
        here,
        now_ms=cluster.now_ms,
        closed=closed_nodes(connection),
        packages={node.name: _packages(connection, node.name) for node in alive},
        reached=_reached(alive, settings),
    )
    connection.close()
    return found


def _untold(connection: Connection) -> list[Finding]:
    """Whether somebody tells the ends of jobs."""
    untold = untended(connection.redis, WEBHOOK_QUEUE)
    if untold is None:
        text = f"this user of Redis may not look at the queue {WEBHOOK_QUEUE}"
        return [Finding("warn", "on_end", text, "let it, as ops/users.conf does")]
    if not untold:
        return []
    text = f"{untold} ends of jobs wait in the queue {WEBHOOK_QUEUE}, and no worker listens to it"
    command = f"{rq_program(os.environ)} worker {WEBHOOK_QUEUE} --url …"
    return [Finding("warn", "on_end", text, f"'{command}' on a machine that may reach those addresses")]


def _waiting(view: ViewStore) -> list[Finding]:
    """Jobs that nobody can run. Those that wait for their turn, or for RQ, are no news."""
    waiting = [
        (job, why)
        for job, why in sorted(view.waiting().items())
        if why != SUSPENDED and "(DISCO_RQ_" not in why
    ]
    do = "'disco-rq nodes' shows labels and states; 'disco-rq kill JOB' ends one that waits in vain"
    found = [Finding("warn", "jobs", f"{job}: {why}", do) for job, why in waiting[:MOST_NAMED]]
    if more := waiting[MOST_NAMED:]:
        found.append(
            Finding("warn", "jobs", f"{len(more)} more wait for nodes", "'disco-rq jobs' lists them")
        )
    return found


def _portions(settings: Settings) -> list[Finding]:
    """Whether a master that is started with these settings would start."""
    try:
        portions_of(settings.shares, settings.owner_slots)
    except ValueError as error:
        return [Finding("fail", "owners", str(error), "a master that is started so ends at once")]
    return []


def _packages(connection: Connection, node: str) -> Mapping[str, str]:
    return lines(answer(lambda: connection.redis.hgetall(keys.packages(node))))


def _master_findings(cluster: ClusterView) -> list[Finding]:
    if not cluster.leads:
        return [Finding("fail", "master", "none leads: jobs wait", "start 'disco-rq master'")]
    found = [Finding("ok", "master", "one leads")]
    if not cluster.master:
        return [*found, Finding("ok", "web page", "the master that leads serves none")]
    url = f"http://{cluster.master}"
    problem = _asked(lambda: ask(Server(url, None), "/healthz", silence_s=SILENCE_S).close())
    if not problem:
        return [*found, Finding("ok", "web page", url)]
    do = "from another machine it takes DISCO_RQ_HTTP on an address that is reached from there, and a secret"
    return [*found, Finding("warn", "web page", f"{url} is not reached from here: {problem}", do)]


def _reached(nodes: Sequence[NodeView], settings: Settings) -> dict[str, str]:
    """Node -> why its files cannot be read from here; empty where they can."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        problems = pool.map(lambda node: _file_problem(node, settings), nodes)
        return {node.name: problem for node, problem in zip(nodes, problems, strict=True)}


def _file_problem(node: NodeView, settings: Settings) -> str:
    if node.about.get("data") and readable_root(node.about) is not None:
        return ""
    if not node.about.get("url"):
        return "it serves none: run 'disco-rq node' there"
    try:
        server = server_of(node.name, node.about, settings.secret, "")
    except DataError as error:
        return str(error)
    problem = _asked(lambda: ask(server, "/", silence_s=SILENCE_S).close())
    return f"{server.url}: {problem}" if problem else ""


def _asked(request: Callable[[], None]) -> str:
    """Why a server does not answer; empty if it does, be it only that it has no such page."""
    try:
        request()
    except FileNotFoundError:
        return ""
    except DataError as error:
        return str(error)
    except NETWORK_ERRORS as error:
        return reason(error)
    return ""
