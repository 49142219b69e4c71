"""What the checks of a job's maps have come to, in a line."""

from __future__ import annotations

from typing import Any

from disco_rq.views import figures

__all__ = ["checks_line"]


def checks_line(check: dict[str, Any]) -> str:
    """How far the checks of a job's maps are, and what they took."""
    unchecked = f", {check['unchecked']} could not be" if check["unchecked"] else ""
    done, took = check["done"] - check["unchecked"], figures.duration(check["seconds"] * 1000)
    return f"{done}/{check['maps']}{unchecked}; {took} of slots"
