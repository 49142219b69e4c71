"""Variables that look like settings and are none: a slip, or a setting of another version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from disco_rq.settings import NAMES, PREFIX

__all__ = ["unread"]

NEAR = 0.75
_OPTIONS = {"SLOTS": "--slots of 'disco-rq node'", "WORKERS": "--workers of 'disco-rq up'"}
"""What is an option only."""
_OF_SERVICES = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""Kubernetes sets these in each container, for services called disco-rq-…."""


def unread(env: Mapping[str, str]) -> Iterator[str]:
    """Each, in words, with what may be meant."""
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in NAMES or _OF_SERVICES.fullmatch(name):
            continue
        rest = name.removeprefix(PREFIX)
        near = get_close_matches(rest, [known.removeprefix(PREFIX) for known in sorted(NAMES)], 1, NEAR)
        meant = f" ({PREFIX}{near[0]}?)" if near else f" (it is {_OPTIONS[rest]})" if rest in _OPTIONS else ""
        yield f"{name} is set, and no setting is called so{meant}"
