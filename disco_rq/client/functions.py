"""The functions and programs that a job was given: whether they can be called as they will be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from disco_rq.errors import JobArgumentError
from disco_rq.external import ExternalProgram, encoded_params
from disco_rq.func import chain_reader
from disco_rq.model import Functions
from disco_rq.readers import making

__all__ = ["EXTERNAL", "FUNCTIONS", "check_arity", "looked_at"]

FUNCTIONS = tuple(field.name for field in fields(Functions) if field.name != "sides")
EXTERNAL = ("map", "reduce")
"""Those that may be programs."""

_MAKERS = (
    *(making.text_reader, making.bytes_lines, making.file_reader, making.jsonl_reader, making.csv_reader),
    *(making.parquet_reader, making.csv_batches, making.jsonl_batches, making.parquet_batches),
)
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
    "save_by": ("key, value",),
}


def looked_at(arguments: Mapping[str, Any]) -> Functions:
    """The functions among the arguments. ``JobArgumentError`` for one that cannot do what it is for."""
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
            check_arity(argument, given[argument])
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
    for name in programs if params is not None else ():
        given[name] = replace(given[name], params=encoded)
    return given


def check_arity(argument: str, function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called as it will be, as far as it tells its parameters.

    It is the function itself that is called: behind ``functools.wraps`` others may have other parameters.
    """
    if argument == "map_reader" and any(function is maker for maker in _MAKERS):
        name = function.__name__
        raise JobArgumentError(f"{argument}=func.{name}: it makes a reader of its options: func.{name}()")
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # some written in C do not tell
        return
    forms = _CALLED_WITH[argument]
    expected = " or ".join(f"({form})" for form in forms)
    names = [name.lower() for name in signature.parameters]
    if not any(_takes(signature, form.split(", ")) for form in forms):
        own = f"; {_STATIC}" if names[:1] in (["self"], ["cls"]) else ""
        raise JobArgumentError(f"{argument} is called with {expected}, but it takes {signature}{own}")
    if argument in _MISTAKEN and _MISTAKEN[argument](names):
        raise JobArgumentError(
            f"{argument} is called with {expected}, but it takes {signature}: {_INSTEAD[argument]}"
        )


def _takes(signature: inspect.Signature, values: list[str]) -> bool:
    try:
        signature.bind(*values)
    except TypeError:
        return False
    return True


_STATIC = "functions of a job's class are static: put @staticmethod above it"
_KEY, _VALUES = {"key", "k"}, {"value", "values", "val", "vals", "v", "vs"}
_MISTAKEN: dict[str, Callable[[list[str]], bool]] = {
    "map": lambda names: names[0] in _KEY and names[1:2] != [] and names[1] in _VALUES,
    "reduce": lambda names: names[0] in _KEY or (names[1:2] != [] and names[1] in _VALUES),
}
"""Parameters of the map and reduce of other systems, which fit by their number alone."""
_INSTEAD = {
    "map": "an entry comes as one value (of an earlier job's results: key, value = entry)",
    "reduce": "it is called once, with all pairs: for key, values in disco_rq.func.kvgroup(pairs)",
}
