"""What the maps of a job do, as digests: maps of equal ones give equal outputs for equal inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from disco_rq.client.identity import CannotTell, identity_of
from disco_rq.model import Functions, JobSpec
from disco_rq.packing import Required

__all__ = ["CODE", "Code", "codes_of", "code_of"]

CODE = "code"
"""In the details of a spec: side of the inputs ("": there is one only) -> digest."""
_OF_A_JOB = frozenset(("this_name", "this_master", "get"))
"""Names of the runtime API that make an output one of its own job."""
_MOST_READ = 50_000
"""Objects of a job that reuses nothing: its submit is not held up."""


class Code(NamedTuple):
    """What the maps of one side do."""

    digest: str = ""
    has_index: bool = False  # a map's output also depends on which one it is
    why: str = ""  # it cannot be told what they do


def codes_of(functions: Functions, params: Any, spec: JobSpec, required: Required) -> dict[str, Code]:
    """By side."""
    if functions.map is None:
        return {}
    sides = list(map(str, range(len(functions.sides)))) or [""]
    most = None if spec.reuse else _MOST_READ
    return {
        side: _code(functions.of_side(int(side) if side else None), params, spec, required, most)
        for side in sides
    }


def _code(functions: Functions, params: Any, spec: JobSpec, required: Required, most: int | None) -> Code:
    of_map = ("map", "map_reader", "map_init", "map_writer", "partition", "combiner")
    used: dict[str, Any] = {name: getattr(functions, name) for name in of_map}
    used |= {
        "params": params,
        "sort": (spec.sort, spec.sort_values, spec.has_reduce),
        "required": [(path, *file) for path, file in sorted(required.files.items())],
        "modules": list(required.modules),
    }
    try:
        found = identity_of(used, most=most)
    except CannotTell as error:
        return Code(why=str(error))
    if hidden := found.runtime & _OF_A_JOB:
        return Code(why=f"the code uses {min(hidden)}, so that its output is the job's own")
    return Code(found.digest, "this_partition" in found.runtime)


def code_of(spec: JobSpec, side: int | None) -> str:
    """The digest of a signed spec; empty: not told."""
    told: Mapping[str, str] = spec.details.get(CODE) or {}
    return told.get("" if side is None else str(side), "")
