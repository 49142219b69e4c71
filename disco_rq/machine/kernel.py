"""What only Linux has, in one place. All of it has an answer elsewhere, of POSIX or of psutil.

With ``DISCO_RQ_POSIX_ONLY=on`` in the environment nothing of it is used: so tests look at the answers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["IS_LINUX", "PROC", "pidfd_open", "prctl", "waitid"]

_HIDDEN = os.environ.get("DISCO_RQ_POSIX_ONLY") == "on"

IS_LINUX = sys.platform == "linux" and not _HIDDEN
PROC = "/proc" if IS_LINUX else "/nowhere/proc"
"""Where the kernel tells of processes, as files; where it does not, there is nothing."""
prctl: Callable[..., Any] | None = ctypes.CDLL(None).prctl if IS_LINUX else None
pidfd_open: Callable[[int], int] | None = getattr(os, "pidfd_open", None) if IS_LINUX else None
waitid: Callable[..., Any] | None = None if _HIDDEN else getattr(os, "waitid", None)
"""macOS has it from Python 3.13 on."""
