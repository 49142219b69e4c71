"""The API asked for whatever its own description allows, and for what it forbids."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from disco_rq.store import keys
from disco_rq.store.connection import Connection
from tests.redis.story import JOB, commit, fail, put, started, submit
from tests.web.visitor import Visitor

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
TIME_S = 20
UNREADABLE = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "502"]
"""
"""The job's files lie at a node that is not there: 502 says so, and is no fault of the server's."""

HOOKS = f"""
import schemathesis

@schemathesis.hook
def map_path_parameters(context, path_parameters):
    \"\"\"A job, task and key that there are, half of the time.\"\"\"
    known = {{"job": {JOB!r}, "task": "map:0", "key": "total", "node": "n1", "index": 0}}
    if path_parameters and sum(map(ord, str(path_parameters))) % 2:
        return {{name: known.get(name, value) for name, value in path_parameters.items()}}
    return path_parameters
"""


def test_no_request_makes_it_fail(api: Visitor, connection: Connection, tmp_path: Path) -> None:
    # given a job that has something of everything
    submit(connection, maps=3, reduces=1)
    attempt = started(connection, "map:0")
    put(connection, attempt, "total", "12")
    commit(connection, attempt, counters={"lines": 3}, partitions={0: 10})
    fail(connection, started(connection, "map:1"), traceback="Traceback")
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "schemathesis.toml").write_text(UNREADABLE)
    csrf = api.get("session").json["csrf"]
    connection.redis.persist(keys.LEADER)

    # when it is asked for everything, but for the streams, which do not end
    told = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"http://{api.address}/api/v1/openapi.json"),
            *(
                "--exclude-path-regex",
                "/stream$",
                "--checks",
                CHECKS,
                "--phases",
                "examples,coverage,fuzzing",
            ),
            *("--max-examples", "15", "--max-time", str(TIME_S), "--mode", "all"),
            *("--header", f"X-CSRF-Token: {csrf}", "--no-color"),
            *("--generation-deterministic", "--suppress-health-check", "all", "--request-timeout", "5"),
        ],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "SCHEMATHESIS_HOOKS": "hooks",
            "PYTHONPATH": str(tmp_path),
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=90,
    )

    # then
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-2000:]
    [cases] = re.findall(r"(\d+) generated", told.stdout)
    [operations] = re.findall(r"Selected: (\d+)/\d+\n  Tested: \1\n", told.stdout)
    assert int(cases) > int(operations)  # a quiet machine makes thousands
