"""The lock of a node: one ``disco-rq node`` serves a data directory."""

from __future__ import annotations

import fcntl
import os
from typing import IO

from disco_rq.errors import SettingsError
from disco_rq.settings import Settings

__all__ = ["lock_node"]

LOCK = ".node-lock"
"""In the data directory: held by the one ``disco-rq node`` that serves it, whose pid it has."""


def lock_node(settings: Settings) -> IO[str]:
    """The node's lock, until it is closed or this process ends; those that it forks do not have it.

    ``SettingsError`` if another one serves this node: its end would leave the address of nobody.
    """
    file = open(settings.data / LOCK, "a+")  # noqa: SIM115
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise SettingsError(
            f"node {settings.node} runs already here, on {settings.data}: end process {holder}, or give "
            "this one a name and a directory of its own"
        ) from None
    except OSError as error:
        file.close()
        raise SettingsError(f"data directory {settings.data}: cannot be locked: {error.strerror}") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
