"""The nodes: whether they can take tasks, and agree with each other and with this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from disco_rq.doctor.finding import Finding, Level
from disco_rq.doctor.server import SKEW_MS
from disco_rq.machine.hashseed import HASH_SEED, NAME
from disco_rq.machine.packages import same_line
from disco_rq.packing import misfit
from disco_rq.store.viewing import NodeView
from disco_rq.views.figures import age, size

__all__ = ["MOST_NAMED", "Here", "node_findings"]

LITTLE_DISK = 0.1
MOST_NAMED = 5


class Here(NamedTuple):
    """This machine."""

    python: str
    version: str
    protocol: int
    secret: Sequence[str]  # fingerprints of its keys
    packages: Mapping[str, str]  # as ``installed`` tells them
    rq_prefix: str = "rq"  # what keys of RQ begin with


def node_findings(
    nodes: Sequence[NodeView],
    here: Here,
    *,
    now_ms: int,
    closed: Mapping[str, str],
    packages: Mapping[str, Mapping[str, str]],
    reached: Mapping[str, str],
) -> list[Finding]:
    """``closed``: node -> why it takes no tasks; ``packages``: what is installed there; ``reached``: why its
    files cannot be read from here, or empty.
    """
    alive = [node for node in nodes if node.slots]
    found = [*_gone(nodes, now_ms)]
    if not alive:
        return [Finding("fail", "nodes", "none is alive: jobs wait", "start 'disco-rq node'"), *found]
    slots = sum(len(node.slots) for node in alive)
    found.insert(0, Finding("ok", "nodes", f"{len(alive)} alive with {slots} slots"))
    found += _or_ok("tasks", "every node takes some", _shut(alive, closed))
    found += _or_ok("disks", "every node has room", _disks(alive))
    found += _or_ok("jobs' files", "all are of jobs that Redis knows, or that were cleaned", _unknown(alive))
    found += _or_ok("clocks", "every node's is as the server's", _clocks(alive))
    found += _or_ok("files", "every node's can be read from here", _files(alive, reached))
    found += _or_ok("python", f"{here.python} here and on every node", _pythons(alive, here))
    found += _or_ok("hash seed", f"{HASH_SEED} on every node", _hash_seeds(alive))
    found += _or_ok("rq keys", f"begin with {here.rq_prefix} here and on every node", _prefixes(alive, here))
    found += _or_ok("disco-rq", f"{here.version} here and on every node", _versions(alive, here))
    found += _or_ok("packages", "compatible here and on every node", _packages(packages, here.packages))
    found += _or_ok("secret", "the same here and on every node", _secrets(alive, here.secret))
    return found


def _or_ok(what: str, text: str, problems: Iterable[Finding]) -> list[Finding]:
    return list(problems) or [Finding("ok", what, text)]


def _gone(nodes: Sequence[NodeView], now_ms: int) -> Iterator[Finding]:
    left = [node.name for node in nodes if node.state == "left"]
    if left:
        named = " ".join(left[:3]) + (" …" if len(left) > 3 else "")
        text = f"{len(left)} said good-bye, and will be forgotten after a day: {named}"
        yield Finding("ok", "nodes", text)
    for node in nodes:
        if node.state == "gone":
            silence = age(now_ms - int(node.about.get("seen", now_ms)))
            text = f"{node.name} ({node.about.get('host', '')}) is gone, for {silence}"
            do = (
                "start it again if it was not meant to go: results and map outputs may be there alone; "
                f"or 'disco-rq forget {node.name}'"
            )
            yield Finding("warn", "nodes", text, do)


def _shut(alive: Sequence[NodeView], closed: Mapping[str, str]) -> Iterator[Finding]:
    some_open = False
    for node in alive:
        why = closed.get(node.name) or ("it is blacklisted" if node.blacklisted else "")
        why = why or ("it is draining" if node.draining else "")
        some_open |= not why
        if why:
            do = "" if node.name in closed else f"'disco-rq whitelist {node.name}'"
            yield Finding("warn", "tasks", f"{node.name} takes none: {why}", do)
    if not some_open:
        yield Finding("fail", "tasks", "no node takes any: jobs wait", "start another, or mend these")


def _disks(alive: Sequence[NodeView]) -> Iterator[Finding]:
    for node in alive:
        free, total = (int(node.about.get(name, 0)) for name in ("disk_free", "disk_total"))
        if total and free < LITTLE_DISK * total:
            text = f"{node.name} has {size(free)} of {size(total)} free"
            yield Finding("warn", "disks", text, "'disco-rq purge --older 7d', or a larger disk")


def _unknown(alive: Sequence[NodeView]) -> Iterator[Finding]:
    for node in alive:
        if jobs := int(node.about.get("unknown_jobs", 0)):
            hours = int(node.about.get("swept_in_s", 0)) / 3600
            some = "a job" if jobs == 1 else f"{jobs} jobs"
            told = f"{node.name} has files of {some} that Redis has forgotten"
            do = (
                f"give Redis its data back, or copy what is needed: they are deleted in {hours:.1f} h "
                "(DISCO_RQ_SWEEP_AFTER on the node)"
            )
            yield Finding("warn", "jobs' files", told, do)


def _clocks(alive: Sequence[NodeView]) -> Iterator[Finding]:
    for node in alive:
        ahead_ms = int(node.about.get("clock_ms", 0))
        if abs(ahead_ms) >= SKEW_MS:
            text = (
                f"{node.name} is {abs(ahead_ms) / 1000:.0f} s {'ahead of' if ahead_ms > 0 else 'behind'} the"
            )
            yield Finding("warn", "clocks", f"{text} server", "run NTP there")


def _files(alive: Sequence[NodeView], reached: Mapping[str, str]) -> Iterator[Finding]:
    for node in alive:
        if problem := reached.get(node.name):
            do = "DISCO_RQ_DATA_HTTP or DISCO_RQ_DATA_URL there must be an address that is reached from here"
            yield Finding("fail", "files", f"of {node.name} cannot be read from here: {problem}", do)


def _pythons(alive: Sequence[NodeView], here: Here) -> Iterator[Finding]:
    others = [node for node in alive if _minor(node.about.get("python", here.python)) != _minor(here.python)]
    level = _level(others, alive)
    for python in sorted({node.about["python"] for node in others}):
        named = _named(node.name for node in others if node.about["python"] == python)
        do = "use the same major.minor: functions travel as byte code, and these hand their tasks back"
        yield Finding(level, "python", f"{python} on {named}, {here.python} here", do)


def _hash_seeds(alive: Sequence[NodeView]) -> Iterator[Finding]:
    others = [node.name for node in alive if node.about.get("hash_seed", HASH_SEED) != HASH_SEED]
    if others:
        text = f"another on {_named(others)}: partition functions that call hash() end their jobs there"
        yield Finding("warn", "hash seed", text, f"start the workers there with {NAME}={HASH_SEED}")


def _prefixes(alive: Sequence[NodeView], here: Here) -> Iterator[Finding]:
    """Clients need none, so that another one here alone is no harm. Older nodes do not tell theirs."""
    told = {node.name: node.about["rq_prefix"] for node in alive if "rq_prefix" in node.about}
    level: Level = "fail" if len(set(told.values())) > 1 else "warn"
    for prefix in sorted({*told.values()} - {here.rq_prefix}):
        named = _named(node for node, theirs in told.items() if theirs == prefix)
        do = "set RQ_KEY_PREFIX alike for masters and nodes: a master gives others no tasks"
        yield Finding(level, "rq keys", f"begin with {prefix} on {named}, with {here.rq_prefix} here", do)


def _versions(alive: Sequence[NodeView], here: Here) -> Iterator[Finding]:
    strange = [node for node in alive if int(node.about.get("protocol", 1)) != here.protocol]
    for node in alive:
        version = node.about.get("version", here.version)
        level: Level
        if node in strange:
            do = "use the same version: it hands the tasks of jobs from here back"
            level = _level(strange, alive)
        elif version != here.version:
            do, level = "it works together; upgrade one of them when there is time", "warn"
        else:
            continue
        yield Finding(level, "disco-rq", f"{version} on {node.name}, {here.version} here", do)


def _packages(
    packages: Mapping[str, Mapping[str, str]], installed_here: Mapping[str, str]
) -> Iterator[Finding]:
    """Distributions that some nodes lack and others have, or that are not of one major version everywhere.

    What is installed here and nowhere else tells nothing: a laptop has much that no job uses.
    """
    known = {
        node: {name: version for name, version in installed.items() if version}
        for node, installed in packages.items()
        if installed
    }
    names = sorted({name for installed in known.values() for name in installed})
    others = []
    for name in names:
        versions = {f"on {node}": installed[name] for node, installed in known.items() if name in installed}
        if name in installed_here:
            versions["here"] = installed_here[name]
        first = next(iter(versions.values()))
        if any(not same_line(first, version) for version in versions.values()):
            others.append(f"{name} " + ", ".join(f"{version} {place}" for place, version in versions.items()))
    do = "install the same on all: jobs that use them are refused until then"
    if others:
        yield Finding("warn", "packages", _named(others, "; "), do)
    for node, installed in known.items():
        if lacking := [name for name in names if name not in installed]:
            yield Finding("warn", "packages", f"{node} lacks what others have: {_named(lacking)}", do)


def _secrets(alive: Sequence[NodeView], here: Sequence[str]) -> Iterator[Finding]:
    secrets = {node.name: node.about["secret"].split() for node in alive if "secret" in node.about}
    do = "set the same DISCO_RQ_SECRET on clients, masters and nodes, and restart these"
    if not here and not any(secrets.values()):
        said = "none: who can write to Redis can run code on the nodes"
        yield Finding("warn", "secret", said, do)
        return
    for node, keys in secrets.items():
        if why := misfit(here, " ".join(keys)):
            yield Finding("fail", "secret", f"of {node} does not fit the one here: {why}", do)
        elif list(here) != keys:
            said = f"{node} knows other keys than this machine, the one that signs here among them"
            yield Finding("warn", "secret", said, "go on with the rotation")


def _level(some: Sequence[NodeView], alive: Sequence[NodeView]) -> Level:
    return "fail" if len(some) == len(alive) else "warn"


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]


def _named(names: Iterable[str], between: str = ", ") -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return between.join(listed[:MOST_NAMED]) + more
