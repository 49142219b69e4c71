"""Runs ``disco-rq`` as if it were of a later version: ``python -m tests.cluster.other_version node …``."""

from disco_rq import version

version.PROTOCOL = 99
version.__version__ = "9.9.9"

from disco_rq.cli.app import main  # noqa: E402  with the version of above

main()
