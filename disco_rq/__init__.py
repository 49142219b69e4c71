"""disco-rq: MapReduce in plain Python functions, on the Redis and RQ that you already have."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from disco_rq import errors
from disco_rq.errors import *  # noqa: F403
from disco_rq.external import external
from disco_rq.version import __version__

if TYPE_CHECKING:
    from disco_rq.client.asyncdisco import AsyncDisco
    from disco_rq.client.asyncjob import AsyncJob
    from disco_rq.client.disco import Disco
    from disco_rq.client.job import Job
    from disco_rq.client.reading import result_iterator
    from disco_rq.client.replay import Replay
    from disco_rq.inputs.heldrecords import records_input
    from disco_rq.model import BadEntry
    from disco_rq.params import Params
    from disco_rq.worker.webhooks import webhook

if (_prefix := os.environ.get("DISCO_RQ_PREFIX", "disco")) not in ("", "disco"):
    # RQ reads its own when it is imported, which is later; what cannot be a prefix is told by store.keys.
    os.environ.setdefault("RQ_KEY_PREFIX", f"{_prefix}:rq")

_HOMES = {
    "AsyncDisco": "disco_rq.client.asyncdisco",
    "AsyncJob": "disco_rq.client.asyncjob",
    "BadEntry": "disco_rq.model",
    "Disco": "disco_rq.client.disco",
    "Job": "disco_rq.client.job",
    "Params": "disco_rq.params",
    "Replay": "disco_rq.client.replay",
    "records_input": "disco_rq.inputs.heldrecords",
    "result_iterator": "disco_rq.client.reading",
    "webhook": "disco_rq.worker.webhooks",
}
"""Imported when they are asked for: a program that needs one of them need not wait for all the others."""

__all__ = [
    "AsyncDisco",
    "AsyncJob",
    "BadEntry",
    "Disco",
    "Job",
    "Params",
    "Replay",
    "__version__",
    "external",
    "records_input",
    "result_iterator",
    "webhook",
    *errors.__all__,
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'disco_rq' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
