"""``@``, the user's last job on a cluster: its name, kept in a small file between two calls."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from disco_rq.errors import UnknownJob
from disco_rq.store import keys

LAST = "@"
MOST_CLUSTERS = 100
"""So many are remembered: the address of ``disco-rq up`` is another each time."""


def _directory() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "disco-rq", "last-jobs")


def _file(url: str) -> Path:
    """Of a cluster. One is told by its address, without what logs in, and by its keys."""
    place = re.sub(r"//[^/]*@", "//", url)
    readable = re.sub(r"[^a-zA-Z0-9.]+", "-", place.partition("://")[2].partition("?")[0]).strip("-")
    return (
        _directory() / f"{readable[-60:]}-{hashlib.sha256(f'{place} {keys.JOBS}'.encode()).hexdigest()[:8]}"
    )


def remember(job_name: str, url: str) -> None:
    """Make ``@`` mean this job on that cluster. If that cannot be written down, ``@`` stays what it was."""
    file = _file(url)
    aside = file.with_name(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(job_name + "\n")
        aside.replace(file)
        _forget_oldest(file.parent)
    except OSError:
        with suppress(OSError):
            aside.unlink()


def _forget_oldest(directory: Path) -> None:
    files = [file for file in directory.iterdir() if not file.name.startswith(".")]
    for file in sorted(files, key=lambda one: one.stat().st_mtime)[:-MOST_CLUSTERS]:
        file.unlink(missing_ok=True)


def recall(url: str) -> str:
    """The name of the last job that this user submitted to that cluster."""
    try:
        name = _file(url).read_text().strip()
    except OSError:
        name = ""
    if not name:
        raise UnknownJob("@ is your last job on this cluster, and you have not submitted one to it yet")
    return name
