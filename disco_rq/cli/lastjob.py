"""``@``, the user's last job: its name, kept in one small file between two calls."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from disco_rq.errors import UnknownJob

LAST = "@"


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "disco-rq", "last")


def remember(job_name: str) -> None:
    """Make ``@`` mean this job. If that cannot be written down, ``@`` stays what it was."""
    file = _file()
    aside = file.with_name(f"last.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(job_name + "\n")
        aside.replace(file)
    except OSError:
        with suppress(OSError):
            aside.unlink()


def recall() -> str:
    """The name of the last job that this user submitted."""
    try:
        name = _file().read_text().strip()
    except OSError:
        name = ""
    if not name:
        raise UnknownJob("@ is your last job, and you have not submitted one yet")
    return name
