"""What each option of a job takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from disco_rq.errors import JobArgumentError
from disco_rq.model import shown
from disco_rq.planning.labels import check_needs
from disco_rq.planning.owners import is_owner
from disco_rq.store.keys import is_of_node

__all__ = ["OPTIONS", "checked", "with_near_miss"]

_TOO_LARGE = 1 << 53  # Lua's numbers end here


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
    if not isinstance(value, dict):
        return False
    if not all(key in _SCHEDULER and _SCHEDULER[key](value[key]) for key in value):
        return False
    return not (value.get("force_local") and value.get("force_remote"))


def _is_number_or_part(value: Any) -> bool:
    if isinstance(value, float):
        return 0 <= value < 1
    return _whole(0)(value)


_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def is_on_end(value: Any) -> bool:
    """Whether that may be told the end of a job."""
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
            return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            return False
    if not isinstance(value, tuple | list) or len(value) != 2 or not all(isinstance(it, str) for it in value):
        return False
    function, queue = value
    is_queue = bool(queue) and queue.isprintable() and " " not in queue and not is_of_node(queue)
    return _FUNCTION.fullmatch(function) is not None and is_queue


def _is_part(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_SCHEDULER: dict[str, Callable[[Any], bool]] = {
    "max_cores": _whole(1),
    "force_local": _is_bool,
    "force_remote": _is_bool,
    "speculative": _is_bool,
}


OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "nr_reduces": (_optional(_whole(0)), "a whole number from 0 on, or None"),
    "sort": (_is_bool, "True or False"),
    "sort_values": (_is_bool, "True or False"),
    "mem_sort_limit": (_whole(1 << 20), "a number of bytes, at least 1 MiB (1048576)"),
    "files_per_task": (_whole(1), "a whole number from 1 on"),
    "split_size": (_optional(_whole(1)), "a number of bytes, or None for one map per input"),
    "scheduler": (
        _is_scheduler,
        "a dict with max_cores (from 1 on), speculative (True or False), "
        "and at most one of force_local and force_remote (True or False)",
    ),
    "unique": (_is_bool, "True or False"),
    "on_end": (
        _optional(is_on_end),
        'an address, "https://…", or ("package.function", "queue"), where the queue is no node\'s',
    ),
    "needs": (
        lambda value: not check_needs(value),
        "a dict of labels, or of map and reduce, each a dict of labels",
    ),
    "pilot": (_is_number_or_part, "a whole number of maps from 0 on, or a fraction of them below 1"),
    "max_bad": (_is_number_or_part, "a whole number of entries from 0 on, or a fraction of them below 1"),
    "reuse": (_is_bool, "True or False"),
    "check": (_is_part, "a part of the maps, above 0 and up to 1, or 0 for none"),
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
    "owner": (
        lambda value: isinstance(value, str) and (not value or is_owner(value)),
        "a name that DISCO_RQ_SHARES can have: not *, and no blank and none of , ; = in it",
    ),
    "save": (lambda _: True, "the address of a directory"),  # check_target looks at both
    "save_format": (lambda _: True, "the name of a format"),
}


def checked(option: str, value: Any) -> Any:
    """The value. ``JobArgumentError`` that says what the option takes, if it is another."""
    accepts, takes = OPTIONS[option]
    if not accepts(value):
        unknown = [key for key in value if key not in _SCHEDULER] if isinstance(value, dict) else []
        if option == "needs":
            raise JobArgumentError(f"needs={shown(value)}: {check_needs(value)}; it takes {takes}")
        misses = (
            f" and no {with_near_miss(unknown[0], _SCHEDULER)}" if option == "scheduler" and unknown else ""
        )
        raise JobArgumentError(f"{option}={shown(value)}: it takes {takes}{misses}")
    return value


def with_near_miss(name: Any, names: Iterable[str]) -> str:
    """A wrong name, with the right one where that is near: ``'sortt' (sort?)``."""
    meant = get_close_matches(str(name), names, 1)
    return f"{name!r} ({meant[0]}?)" if meant else repr(name)
