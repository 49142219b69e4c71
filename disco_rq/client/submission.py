"""From the arguments of ``new_job`` to a job: checked, its inputs planned, its functions packed, before
anything is queued.
"""

from __future__ import annotations

import contextlib
import getpass
import inspect
import random
import string
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from disco_rq.client.arguments import told
from disco_rq.errors import DataError, JobArgumentError
from disco_rq.external import ExternalProgram, encoded_params
from disco_rq.func import chain_reader, map_line_reader
from disco_rq.inputs.merging import PartitionsOf, plan_merge
from disco_rq.inputs.plan import plan_inputs
from disco_rq.model import JOB_PREFIX, Functions, JobSpec, MapInput
from disco_rq.outputs.addresses import preferred_node
from disco_rq.packing import gather, pack_functions
from disco_rq.params import Params
from disco_rq.saving import check_target

MAX_DEFAULT_REDUCES = 100
_DEFAULTS: dict[str, Any] = {  # of what is no field of JobSpec
    "params": Params(),
    "split_size": 64 << 20,
    "files_per_task": 1,
    "scheduler": {},
    "required_modules": (),
    "required_files": (),
}
FUNCTIONS = tuple(field.name for field in fields(Functions))
EXTERNAL = ("map", "reduce")
"""Those that may be programs."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is ready to be stored."""

    spec: JobSpec
    pack: bytes
    inputs: Sequence[MapInput]
    functions: Functions
    modules: frozenset[str]
    """Of installed packages, without which no node can unpack it."""


def no_results(address: str) -> int:
    """The ``partitions_of`` of who has no cluster that keeps results. Raises ``DataError``."""
    raise DataError("results of a cluster's jobs cannot be read here", address)


def build(
    name: Any,
    input: Any,
    arguments: Mapping[str, Any],
    secret: bytes | None,
    partitions_of: PartitionsOf = no_results,
) -> Submission:
    """Check every argument and pack the job. Raises ``JobArgumentError`` naming what is wrong.

    ``partitions_of`` is asked about the results of other jobs that a job with a reduce only merges.
    """
    if not isinstance(name, str) or not JOB_PREFIX.fullmatch(name):
        raise JobArgumentError(f"name={name!r}: a job's name takes letters, digits and _, at least one")
    unknown = sorted(set(arguments) - set(ARGUMENTS))
    if unknown:
        meant = get_close_matches(unknown[0], ARGUMENTS, 1)
        hint = f" ({meant[0]}?)" if meant else ""
        taken = ", ".join(ARGUMENTS)
        raise JobArgumentError(f"new_job() has no argument {unknown[0]!r}{hint}; it takes {taken}")
    functions = _functions(arguments)
    options = {option: _checked(option, arguments[option]) for option in _OPTIONS if option in arguments}
    scheduler = options.pop("scheduler", {})
    inputs, nr_reduces = _planned(functions, input, options, partitions_of)
    has_map = functions.map is not None
    required = gather(*(options.pop(f"required_{what}", ()) for what in ("modules", "files")))
    on_nodes = has_map and any(preferred_node(url) for entry in inputs for url in entry.urls())
    options.setdefault("owner", _user())
    options.update(_saving(functions, options.pop("save", None), options.pop("save_format", None)))
    spec = JobSpec(
        name=unique_name(name),
        nr_maps=len(inputs) if has_map else 0,
        nr_reduces=nr_reduces,
        has_map=has_map,
        has_reduce=functions.reduce is not None,
        details={"on_nodes": on_nodes},
        **options,
        **scheduler,
    )
    spec = replace(spec, details={**spec.details, "arguments": _told(spec, input, arguments)})
    params = arguments.get("params", _DEFAULTS["params"])
    pack = pack_functions(functions, params, job=spec.name, secret=secret, required=required)
    return Submission(spec, pack.data, inputs, functions, pack.modules)


def _planned(
    functions: Functions, input: Any, options: dict[str, Any], partitions_of: PartitionsOf
) -> tuple[Sequence[MapInput], int]:
    """What the maps read, or the reduces of a job without a map, and the number of reduces (of a map-only
    job: of partitions). Takes the options that say it.
    """
    nr_reduces = options.pop("nr_reduces", None)
    if functions.reduce and nr_reduces == 0:
        raise JobArgumentError("nr_reduces=0: a job with a reduce needs at least one")
    split_size = options.pop("split_size", _DEFAULTS["split_size"])
    files_per_task = options.pop("files_per_task", _DEFAULTS["files_per_task"])
    if functions.map is None:
        return plan_merge(input, nr_reduces, partitions_of)
    line_based = functions.map_reader in (None, map_line_reader)
    maps = plan_inputs(input, line_based=line_based, split_size=split_size, files_per_task=files_per_task)
    if nr_reduces is None:
        nr_reduces = min(max(len(maps) // 2, 1), MAX_DEFAULT_REDUCES) if functions.reduce else 0
    return maps, nr_reduces


def unique_name(prefix: str) -> str:
    """``PREFIX@YYYYMMDD-HHMMSS-xxxx``, with the local time and four random letters or digits."""
    alphabet = string.ascii_lowercase + string.digits
    random_part = "".join(random.SystemRandom().choices(alphabet, k=4))
    return f"{prefix}@{time.strftime('%Y%m%d-%H%M%S')}-{random_part}"


def _functions(arguments: Mapping[str, Any]) -> Functions:
    given = _with_ext_params(arguments)
    for argument, function in given.items():
        if isinstance(function, ExternalProgram) and argument in EXTERNAL:
            continue
        if function is not None and not callable(function):
            program = " or a program, external([…])" if argument in EXTERNAL else ""
            raise JobArgumentError(f"{argument}={function!r}: it takes a function{program}")
    functions = Functions(**given)
    if functions.map is None and functions.reduce is None:
        raise JobArgumentError("a job needs a map, a reduce, or both; this one has neither")
    for phase, helpers in _HELPERS.items():
        for helper in helpers:
            if getattr(functions, phase) is None and getattr(functions, helper) is not None:
                raise JobArgumentError(f"{helper}: this job has no {phase}, which it would be for")
    for argument in FUNCTIONS:
        if callable(given[argument]):
            _check_arity(argument, given[argument])
    if functions.reduce_reader is chain_reader:  # it reads what a reduce reads without a reader
        return replace(functions, reduce_reader=None)
    return functions


def _with_ext_params(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The functions, and the programs with what they are to be sent."""
    given: dict[str, Any] = {argument: arguments.get(argument) for argument in FUNCTIONS}
    params = arguments.get("ext_params")
    encoded = encoded_params(params)
    programs = [name for name in EXTERNAL if isinstance(given[name], ExternalProgram)]
    if params is not None and not programs:
        raise JobArgumentError("ext_params is for external programs, and neither map nor reduce is one")
    for name in programs:
        given[name] = replace(given[name], params=encoded)
    return given


def _check_arity(argument: str, function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called as it will be, as far as it tells its parameters."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some written in C do not tell
        return
    calls = [call.split(", ") for call in _CALLED_WITH[argument]]
    for call in calls:
        with contextlib.suppress(TypeError):
            signature.bind(*call)
            return
    expected = " or ".join(f"({call})" for call in _CALLED_WITH[argument])
    raise JobArgumentError(f"{argument} is called with {expected}, but it takes {signature}")


_HELPERS = {
    "map": ("map_reader", "map_init", "map_writer", "combiner", "partition"),
    "reduce": ("reduce_reader", "reduce_init", "reduce_writer"),
}
_CALLED_WITH = {
    "map": ("entry, params",),
    "map_reader": ("fd, size, name",),
    "map_init": ("entries, params",),
    "map_writer": ("fd, key, value, params",),
    "reduce": ("pairs, params", "pairs, out, params"),
    "reduce_reader": ("fd, size, name",),
    "reduce_init": ("pairs, params",),
    "reduce_writer": ("fd, key, value, params",),
    "partition": ("key, nr_reduces, params",),
    "combiner": ("key, value, buffer, done, params",),
}


def _saving(functions: Functions, save: Any, format: Any) -> dict[str, str]:
    if save is None:
        if format is not None:
            raise JobArgumentError(f"save_format={format!r}: there is no save, which says where")
        return {}
    writer = "reduce_writer" if functions.reduce else "map_writer"
    has_writer = getattr(functions, writer) is not None
    address, format = check_target(save, format, writer if has_writer else None)
    return {"save": address, "save_format": format}


def _told(spec: JobSpec, input: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument: as it was given, or its default."""
    given = {**arguments, "name": spec.name, "input": input}
    in_effect = {option: getattr(spec, option, _DEFAULTS.get(option)) for option in ARGUMENTS}
    in_effect |= {name: value for name, value in given.items() if (name, value) != ("nr_reduces", None)}
    return {argument: told(argument, in_effect[argument]) for argument in ARGUMENTS}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container
        return "unknown"


# -- what each option takes

_TOO_LARGE = 1 << 53  # Lua's numbers end here


def _checked(option: str, value: Any) -> Any:
    accepts, takes = _OPTIONS[option]
    if not accepts(value):
        raise JobArgumentError(f"{option}={value!r}: it takes {takes}")
    return value


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and least <= value < _TOO_LARGE
    )


def _optional(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1e9


def _is_scheduler(value: Any) -> bool:
    takes: dict[str, Callable[[Any], bool]] = {
        "max_cores": _whole(1),
        "force_local": _is_bool,
        "force_remote": _is_bool,
        "speculative": _is_bool,
    }
    if not isinstance(value, dict) or not all(key in takes and takes[key](value[key]) for key in value):
        return False
    return not (value.get("force_local") and value.get("force_remote"))


_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "nr_reduces": (_optional(_whole(0)), "a whole number from 0 on, or None"),
    "sort": (_is_bool, "True or False"),
    "mem_sort_limit": (_whole(1 << 20), "a number of bytes, at least 1 MiB (1048576)"),
    "files_per_task": (_whole(1), "a whole number from 1 on"),
    "split_size": (_optional(_whole(1)), "a number of bytes, or None for one map per input"),
    "scheduler": (
        _is_scheduler,
        "a dict with max_cores (from 1 on), speculative (True or False), "
        "and at most one of force_local and force_remote (True or False)",
    ),
    "max_failures": (_whole(0), "a whole number from 0 on"),
    "task_retries": (_whole(0), "a whole number from 0 on"),
    "task_timeout": (_optional(_is_seconds), "a number of seconds up to 1e9, or None"),
    "status_interval": (_whole(0), "a number of entries, 0 for none"),
    "profile": (_is_bool, "True or False"),
    "required_modules": (lambda _: True, "names of modules, or (name, path)"),  # gather looks at both
    "required_files": (lambda _: True, "paths, or a dict of names and their bytes"),
    "msg_overflow": (lambda value: value in ("drop", "fail"), '"drop" or "fail"'),
    "oob_value_limit": (_whole(1), "a number of bytes"),
    "gc_after": (_optional(_is_seconds), "a number of seconds up to 1e9, or None"),
    "priority": (_whole(-1000), "a whole number from -1000 on"),
    "owner": (lambda value: isinstance(value, str), "a str"),
    "save": (lambda _: True, "the address of a directory"),  # check_target looks at both
    "save_format": (lambda _: True, "the name of a format"),
}

ARGUMENTS = ("name", "input", *FUNCTIONS, "params", "ext_params", *_OPTIONS)
"""Every argument of ``new_job``."""
