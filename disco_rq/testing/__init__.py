"""For the tests of your own jobs: one task in this process, and a pytest plugin with a cluster."""

from disco_rq.testing.task import TaskRun, run_task

__all__ = ["TaskRun", "run_task"]
