"""Runs ``disco-rq`` as on a machine unlike this one: ``python -m tests.cluster.unlike_node node …``.

UNLIKE_PYTHON is the Python that it says it has, UNLIKE_PACKAGES (JSON) changes what is installed: null takes
a package away.
"""

import json
import os
import platform

from disco_rq.cli import main
from disco_rq.machine.packages import installed
from disco_rq.worker import leases

changes = json.loads(os.environ.get("UNLIKE_PACKAGES", "{}"))
python = os.environ.get("UNLIKE_PYTHON", platform.python_version())

platform.python_version = lambda: python
leases.installed = lambda: {  # type: ignore[attr-defined]  # the name that it looks up
    name: version for name, version in {**installed(), **changes}.items() if version is not None
}
main()
