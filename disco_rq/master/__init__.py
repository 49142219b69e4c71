"""The master: it reads what happened, asks the planner, and puts batches into the nodes' queues."""

from disco_rq.master.master import run_master

__all__ = ["run_master"]
