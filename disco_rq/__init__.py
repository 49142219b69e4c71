"""disco-rq: MapReduce in plain Python functions, on the Redis and RQ that you already have."""

from disco_rq.client.disco import Disco
from disco_rq.client.job import Job
from disco_rq.client.results import result_iterator
from disco_rq.errors import *  # noqa: F403
from disco_rq.errors import __all__ as _errors
from disco_rq.external import external
from disco_rq.params import Params
from disco_rq.version import __version__

__all__ = ["Disco", "Job", "Params", "__version__", "external", "result_iterator", *_errors]
