"""Runs ``disco-rq`` as if it were of a later version: ``python -m tests.cluster.other_version node …``."""

import sys
import types

# Before anything of the package is imported: each module takes its own copy of what this one says.
later = types.ModuleType("disco_rq.version")
later.__dict__.update(PROTOCOL=99, __version__="9.9.9")
sys.modules["disco_rq.version"] = later

from disco_rq.cli import main  # noqa: E402  with the version of above

main()
