"""What ``ps`` and ``top`` show of our processes: whose they are, and what they do just now."""

from __future__ import annotations

from setproctitle import setproctitle

__all__ = ["tell_title"]


def tell_title(what: str) -> None:
    """This process is ``disco-rq: WHAT``, and what it forks until that says something else.

    Its text lies where the environment lay with which the process was started, which others cannot read any
    more (``/proc/PID/environ``): call it when that has been hidden from tasks. With ``SPT_NOENV=1`` it lies
    where the arguments lay, and is cut.
    """
    setproctitle(f"disco-rq: {what}")
