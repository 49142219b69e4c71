"""What is told of the maps of a job that run twice."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

__all__ = ["Check", "CheckState", "CheckedMap", "Checks"]

CheckState: TypeAlias = Literal["waiting", "running", "same", "differs", "unchecked", "stopped"]


class Check(Struct):
    """``maps`` that run twice; of these ``done``, among them those ``unchecked``, whose second run failed as
    tasks may. ``seconds`` of slots that it took.
    """

    maps: int
    done: int
    unchecked: int
    seconds: float


class CheckedMap(Struct):
    """A map, and how its second run, the ``check``, went: ``same`` as the first one; ``differs``, which ended
    the job; ``unchecked``. Where both ran.
    """

    map: str
    check: str
    state: CheckState
    map_node: str
    node: str


class Checks(Struct):
    """``difference``: what the job died of, where it was one."""

    total: int
    offset: int
    limit: int
    maps: list[CheckedMap]
    difference: str | None
