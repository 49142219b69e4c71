"""One slot of a node: an RQ worker with a warm horse, in which the attempts of a batch run.

The dotted names ``disco_rq.worker.DiscoWorker`` and ``disco_rq.worker.run_batch`` lie in RQ's records.
"""

from disco_rq.worker.batch import run_batch
from disco_rq.worker.worker import DiscoWorker

__all__ = ["DiscoWorker", "run_batch"]
