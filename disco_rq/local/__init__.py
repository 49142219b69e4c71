"""A job in one process: no server, no Redis, and the functions are called right here, where a debugger is."""

from disco_rq.local.runner import LocalJob, run

__all__ = ["LocalJob", "run"]
