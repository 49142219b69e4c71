"""The files of ops/ and workers/: the programs that they are for take them; they name metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rq.cli.cli import main as rq

from disco_rq.cli.app import cli
from disco_rq.store.connection import Connection
from tests.redis.expressions import served, wrong_in
from tests.services import OPS, REPOSITORY

UNITS = [*(OPS / "systemd").glob("*.service"), *(REPOSITORY / "workers").glob("*.service")]


def program(name: str) -> str:
    """Its path. Where it is missing the test is skipped, in CI too: neither belongs to what we need."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def test_every_alert_asks_for_what_is_served(connection: Connection) -> None:
    rules = [
        rule
        for group in yaml.safe_load((OPS / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    there = served(connection)
    assert len(rules) >= 8
    assert {rule["alert"]: wrong_in(rule["expr"], there) for rule in rules} == {r["alert"]: [] for r in rules}


def test_prometheus_is_told_to_scrape_what_the_alerts_are_about() -> None:
    told = yaml.safe_load((OPS / "prometheus.yml").read_text())
    alerts = (OPS / "alerts.yml").read_text()
    [job] = told["scrape_configs"]

    assert f'up{{job="{job["job_name"]}"}}' in alerts
    assert told["rule_files"] == ["alerts.yml"]
    assert job.get("metrics_path", "/metrics") == "/metrics"
    assert "credentials_file" in job["authorization"]


def test_promtool_takes_the_alert_rules() -> None:
    promtool = program("promtool")
    done = subprocess.run([promtool, "check", "rules", OPS / "alerts.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_unit(unit: Path) -> None:
    analyze = program("systemd-analyze")
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert unit.stem.rstrip("@") not in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_the_program_of_the_unit_takes_its_options(unit: Path) -> None:
    [command] = re.findall(r"^ExecStart=/usr/bin/env (.*)$", unit.read_text(), re.MULTILINE)
    name, *arguments = command.split()
    told = CliRunner().invoke({"disco-rq": cli, "rq": rq}[name], [*arguments, "--help"])
    assert told.exit_code == 0, told.output
    options = {word for word in arguments if word.startswith("-")}
    assert all(re.search(rf"(^|\s){option}\b", told.output) for option in options)
