"""The process of a contestant, whose tree is what it costs: its runner, and one program.

``python -m tests.benchmarks.contestant RUNNER MODULE:FUNCTION READ WRITE``; the last two are open pipes,
where lines of JSON come and go. ``{"given": …}`` runs the program and says what it took. An empty line asks
for a digest of the answer: to read files again or to delete them is no part of the work. It ends with its
pipe.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from typing import Any

from tests.benchmarks.measured import Measured

TESTS = "tests.benchmarks."


def main() -> None:
    runner_name, target, read, write = sys.argv[1:]
    module, _, name = target.partition(":")
    program = getattr(importlib.import_module(TESTS + module), name)
    started = importlib.import_module(f"{TESTS}runners.{runner_name}").started
    with open(int(read)) as orders, open(int(write), "w", buffering=1) as said, started() as runner:
        for inherited in (int(read), int(write)):
            os.set_inheritable(inherited, False)
        print("{}", file=said)
        answer: Any = None
        for order in orders:
            if order.strip():
                began = time.perf_counter()
                answer = program(runner, json.loads(order)["given"])
                told: dict[str, Any] = {"wall_s": time.perf_counter() - began}
                if isinstance(answer, Measured):
                    told |= {"value": answer.value, "note": answer.note, "beside": answer.beside}
                    if answer.cpu_s is not None:
                        told["cpu_s"] = answer.cpu_s
                    answer = answer.answer
            else:
                told = {"digest": digest(answer() if callable(answer) else answer)}
                answer = None
            print(json.dumps(told), file=said)


def digest(answer: Any) -> str:
    """Equal for equal answers; a dict's order is none of them."""
    if isinstance(answer, dict):
        answer = sorted(answer.items())
    return hashlib.sha1(repr(answer).encode()).hexdigest()


if __name__ == "__main__":
    main()
