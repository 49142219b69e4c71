"""A node whose worker does not tell RQ of a batch before its end, however long the batch takes.

A worker tells of a batch that is through within ``SHORT_S`` only at its end; what may happen until then would
be over too soon for a test.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from disco_rq.node.node import run_node
from disco_rq.settings import Settings
from disco_rq.worker import worker


def main(name: str) -> None:
    settings = Settings.from_env()
    worker.SHORT_S = 120.0
    run_node(replace(settings, node=name, data=settings.data / f"data-{name}"), 1)


if __name__ == "__main__":
    main(sys.argv[1])
