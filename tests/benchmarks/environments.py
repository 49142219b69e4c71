"""An environment for each peer, made once and kept outside of the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "ray": ["ray"],
    "dask": ["distributed"],
    "joblib": ["joblib"],
    "rq": ["rq"],
}
OF_WORK = ["isal", "msgspec"]
"""What the work itself imports."""
INSTALL_TIMEOUT_S = 900


def cache() -> Path:
    """Where they are: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "disco-rq-bench"


def python_of(peer: str) -> str:
    """The Python of a peer's environment. Raises ``OSError`` with what is missing if it cannot be made."""
    packages = [*PACKAGES[peer], *OF_WORK]
    version = ".".join(map(str, sys.version_info[:3]))
    made_of = hashlib.sha1(" ".join([sys.base_prefix, version, *packages]).encode()).hexdigest()[:8]
    directory = cache() / f"{peer}-{made_of}"
    python = directory / "bin" / "python"
    whole = directory / "whole"
    if not whole.exists():
        print(f"making an environment for {peer} in {directory}", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(directory)])
        _run([str(python), "-m", "pip", "install", "--quiet", *packages])
        whole.touch()
    return str(python)


def version_of(peer: str, python: str) -> str:
    """As its distribution says."""
    code = f"import importlib.metadata as m; print(m.version({PACKAGES[peer][0]!r}))"
    return _run([python, "-c", code]).strip()


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} took more than {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(said[-1] if said else f"{command[0]} ended with {done.returncode}")
    return done.stdout
