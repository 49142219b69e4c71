"""The files of ops/: the programs that they are for take them, and they name metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from disco_rq.store.connection import Connection
from disco_rq.store.viewing import ViewStore
from disco_rq.web.metrics import _Cluster
from tests.services import OPS

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def program(name: str) -> str:
    """Its path. Where it is missing the test is skipped, in CI too: neither belongs to what we need."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def served(connection: Connection) -> set[str]:
    families = _Cluster(ViewStore(connection)).collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}


def test_every_metric_of_the_alert_rules_is_served(connection: Connection) -> None:
    lines = re.findall(r"expr: (.*)", (OPS / "alerts.yml").read_text())
    named = {name for line in lines for name in re.findall(r"\bdisco_\w+", line)}
    assert named
    assert named <= served(connection)


def test_promtool_takes_the_alert_rules() -> None:
    promtool = program("promtool")
    done = subprocess.run([promtool, "check", "rules", OPS / "alerts.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", ["disco-rq-master", "disco-rq-node"])
def test_systemd_takes_the_unit(unit: str) -> None:
    analyze = program("systemd-analyze")
    path = OPS / "systemd" / f"{unit}.service"
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert unit not in done.stderr
