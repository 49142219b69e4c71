"""Files that a power cut leaves as they are."""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["sync_directory", "sync_file"]

_HAS_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM}


def sync_file(path: Path | str) -> None:
    """The content is on the disk when this returns; its name only with ``sync_directory``. ``OSError``."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_directory(path: Path | str) -> None:
    """The names in it are on the disk when this returns, where a file system can do that. ``OSError``."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno not in _HAS_NO_SYNC:  # of directories, as network file systems may say
            raise
