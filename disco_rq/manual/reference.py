"""The page about the Python API, made of the docstrings of what programs import."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

__all__ = ["reference"]

TOP = """\
# The Python API

What programs import, in the words of its docstrings. What `new_job` takes is in [arguments](arguments.md).
"""
MODULES = {
    "disco_rq": "Clients, jobs, results.",
    "disco_rq.runtime": "Names that are there when a job function runs; see [the runtime API](runtime.md).",
    "disco_rq.func": "Readers, combiners, partitions; see [inputs](inputs.md), [combiners](combiners.md).",
    "disco_rq.local": "A job in one process; see [testing](testing.md).",
    "disco_rq.testing": "For the tests of your own jobs; see [testing](testing.md).",
    "disco_rq.errors": "Every error. One that a job function lets through ends its job, unless it says so.",
}


def reference() -> str:
    """Markdown: a heading for each module, one below for each class and function."""
    parts = [TOP]
    for name, line in MODULES.items():
        module = import_module(name)
        parts.append(f"## {name}\n\n{line}\n")
        parts += _entries(name, module)
    return "\n".join(parts)


def _entries(name: str, module: Any) -> Iterator[str]:
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isclass(value) and issubclass(value, Exception):
            if name == "disco_rq.errors":
                yield f"- `{public}` ({value.__mro__[1].__name__}): {_first_paragraph(value)}"
        elif inspect.isclass(value):
            yield f"### {public}\n\n`{public}{_signature(value)}`\n\n{_prose(value)}\n"
            yield from _methods(public, value)
        elif callable(value):
            yield f"### {public}\n\n`{public}{_signature(value)}`\n\n{_prose(value)}\n"


def _methods(owner: str, cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        if name.startswith("_") or not (callable(member) or isinstance(member, classmethod | property)):
            continue
        if isinstance(member, property):
            yield f"`{owner.lower()}.{name}`\n\n{_prose(member)}\n"
        else:
            yield f"`{owner.lower()}.{name}{_signature(getattr(cls, name))}`\n\n{_prose(member)}\n"


def _signature(value: Any) -> str:
    """Names and defaults, as one calls it; types are what editors show."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    bare = [
        each.replace(annotation=each.empty)
        for each in signature.parameters.values()
        if each.name not in ("self", "cls") and not each.name.startswith("_")
    ]
    shown = signature.replace(parameters=bare, return_annotation=signature.empty)
    return re.sub(r"<[\w.]*?([\w-]+)[^<>]*>", r"\1", str(shown))


def _first_paragraph(value: Any) -> str:
    return _prose(value).partition("\n\n")[0].replace("\n", " ")


def _prose(value: Any) -> str:
    """A docstring as Markdown: code between single backticks, an indented block as it stands."""
    text = inspect.getdoc(value) or ""
    return re.sub(r"``([^`]+)``", r"`\1`", text)
