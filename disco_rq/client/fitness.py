"""Whether the nodes have what a job needs: looked at when it is submitted, and told at once, all of it.

A node of another Python or protocol hands tasks back, so one that fits is enough. A package must be on each
node that fits: a task that cannot import it would end the job.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence

from disco_rq.errors import UnfitNodes
from disco_rq.machine.packages import distribution_of, same_line
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeKit, open_kits
from disco_rq.version import PROTOCOL, __version__

__all__ = ["LANGUAGE", "FitnessCheck"]

LANGUAGE = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""The Python here, as far as byte code goes."""
MOST_NAMED = 5


class FitnessCheck:
    """Looks at the nodes of one cluster; knows their names from the last time, to ask once only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names: Collection[str] = ()

    def check(self, modules: Iterable[str]) -> None:
        """Raises ``UnfitNodes`` naming every mismatch. ``modules``: what the job's functions import."""
        distributions = {module: distribution_of(module) for module in sorted(modules)}
        wanted = [*distributions, *(found[0] for found in distributions.values() if found)]
        kits = open_kits(self._connection, wanted, self._names)
        self._names = {kit.node for kit in kits}
        problems = list(_mismatches(kits, distributions))
        if problems:
            raise UnfitNodes(
                f"the nodes cannot run this job: {'; '.join(problems)}. Install the same there as here; "
                "'disco-rq drain NODE' keeps jobs off a node"
            )


def _mismatches(kits: Sequence[NodeKit], distributions: dict[str, tuple[str, str] | None]) -> Iterator[str]:
    fit = [kit for kit in kits if (kit.language, kit.protocol) == (LANGUAGE, PROTOCOL)]
    if not fit:
        yield from _other_versions(kits)
    for module, here in distributions.items():
        yield from _package_problems(fit or kits, module, here)


def _other_versions(kits: Sequence[NodeKit]) -> Iterator[str]:
    pythons = _grouped((f"Python {kit.python}", kit.node) for kit in kits if kit.language != LANGUAGE)
    yield from (f"{nodes} has {what}, here is {platform.python_version()}" for what, nodes in pythons)
    others = _grouped(
        (f"disco-rq {kit.version} (protocol {kit.protocol})", kit.node)
        for kit in kits
        if kit.protocol != PROTOCOL
    )
    yield from (f"{nodes} has {what}, here is {__version__} (protocol {PROTOCOL})" for what, nodes in others)


def _package_problems(kits: Sequence[NodeKit], module: str, here: tuple[str, str] | None) -> Iterator[str]:
    missing, others = [], []
    name, version = here or (module, "")
    for kit in kits:
        if kit.packages is None:
            continue
        there = kit.packages.get(name)
        if there is None and module not in kit.packages:
            missing.append((module, kit.node))
        elif there and version and not same_line(there, version):
            others.append((there, kit.node))
    compared = f", here is {version}" if version else ""
    yield from (f"{nodes} has no {what}{compared}" for what, nodes in _grouped(missing))
    yield from (f"{nodes} has {name} {what}{compared}" for what, nodes in _grouped(others))


def _grouped(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What -> the nodes that it is said of, as text."""
    groups: dict[str, list[str]] = {}
    for what, node in found:
        groups.setdefault(what, []).append(node)
    for what, nodes in groups.items():
        more = f" and {len(nodes) - MOST_NAMED} more" if len(nodes) > MOST_NAMED else ""
        yield what, ", ".join(nodes[:MOST_NAMED]) + more
