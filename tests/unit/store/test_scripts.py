"""The scripts as the server gets them."""

from __future__ import annotations

import os
import subprocess
import sys

from disco_rq.store.connection import script_sha


def test_the_locale_of_a_node_does_not_count() -> None:
    code = "from disco_rq.store.connection import script_sha; print(script_sha('submit_job'))"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    told = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, check=True)

    assert told.stdout.decode().strip() == script_sha("submit_job")
