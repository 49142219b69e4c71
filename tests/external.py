"""External programs for tests, in Python: what they do, below the protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from disco_rq.external import ExternalProgram, external

PROLOGUE = f"""#!{sys.executable} -S
import os, signal, struct, sys, time
def read_bytes():
    size = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(struct.unpack("<I", size)[0]) if size else None
def pair():
    key = read_bytes()
    return None if key is None else (key, read_bytes())
def write(*pairs):
    out = struct.pack("<I", len(pairs))
    for item in (item for pair in pairs for item in pair):
        out += struct.pack("<I", len(item)) + item
    sys.stdout.buffer.write(out)
    sys.stdout.buffer.flush()
params = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
"""
ECHO = "while (kv := pair()): write(kv)\n"
"""A program that answers each pair with itself."""


def python_program(path: Path, body: str, **options: Any) -> ExternalProgram:
    """Write the program and take it; ``body`` has ``params``, and calls ``pair()`` and ``write(*pairs)``."""
    path.write_text(PROLOGUE + body)
    path.chmod(0o755)
    return external([path], **options)
