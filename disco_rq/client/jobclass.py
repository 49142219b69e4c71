"""A class that describes a job, looked at before anything of it is submitted."""

from __future__ import annotations

import functools
import inspect

from disco_rq.client.submission import ARGUMENTS
from disco_rq.errors import JobArgumentError

__all__ = ["check_class"]


def check_class(cls: type, job: type) -> None:
    """``JobArgumentError`` for what would not do what it says. ``job``: the ``Job`` that it derives from."""
    for name in ARGUMENTS:
        found = inspect.getattr_static(cls, name, None)
        if isinstance(found, property | functools.cached_property):
            raise JobArgumentError(
                f"{cls.__qualname__}.{name} is a property, which a class does not answer: give it its value"
            )
    for name in sorted(set(dir(job))):
        own, found = inspect.getattr_static(job, name), inspect.getattr_static(cls, name)
        if found is own or name.startswith("_") or name in ARGUMENTS:
            continue
        if inspect.isfunction(own) and not inspect.isfunction(found):
            raise JobArgumentError(
                f"{cls.__qualname__}.{name} hides the method {name} that every job has: call it otherwise"
            )
    try:
        inspect.signature(cls).bind(None, "")
    except (TypeError, ValueError):
        raise JobArgumentError(
            f"{cls.__qualname__}.__init__ must take (disco, name) as that of Job: submit calls it so"
        ) from None
