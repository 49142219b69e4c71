"""Runs a master that looks for old jobs all the time: ``python -m tests.cluster.eager_master``."""

import sys

from disco_rq.cli import main
from disco_rq.master import retention

retention.OLD_JOBS_EVERY_S = 0.2
sys.argv[1:] = ["master"]
main()
