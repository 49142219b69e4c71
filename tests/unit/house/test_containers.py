"""ops/compose.yaml and workers/Dockerfile: what they name is there, and what they run is what we have."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from disco_rq.cli.app import cli
from disco_rq.settings import PREFIX, Settings
from disco_rq.web.process import MEMORY_BYTES
from tests.containers import compose, dockerfile, environment_of, image_environment, make_secrets
from tests.services import OPS, REPOSITORY

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
MADE = ("./secrets", "./work")
"""By make-secrets.sh, and by whoever has programs to run."""


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return make_secrets(tmp_path)


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_the_schema_of_compose_files_takes_ours() -> None:
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(OPS / "compose.yaml")]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_all_that_a_service_refers_to_is_declared(service: str) -> None:
    told = SERVICES[service]
    for kind in ("networks", "secrets"):
        assert set(told.get(kind, ())) <= set(compose()[kind])
    assert set(told.get("depends_on", ())) <= set(SERVICES)
    for volume in told.get("volumes", ()):
        source, colon, _ = volume.partition(":")
        if source.startswith("."):
            assert source.startswith(MADE) or (OPS / source).exists()
        elif colon:
            assert source in compose()["volumes"]


def test_the_page_is_all_that_is_published_and_on_loopback_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"master": ["127.0.0.1:8989:8989"]}
    assert SERVICES["redis"]["networks"] == ["cluster"]
    assert compose()["networks"]["cluster"] == {"internal": True}


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights_that_it_does_not_need(service: str) -> None:
    told = SERVICES[service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    if service not in OURS:
        assert told["user"] == "redis"


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - {"client"}))
def test_a_service_is_looked_after(service: str) -> None:
    told = SERVICES[service]
    assert told["restart"] == "unless-stopped"
    assert {"cpus", "memory", "pids"} == set(told["deploy"]["resources"]["limits"])
    assert "healthcheck" in told or service == "node"
    assert told["stop_signal"] == "SIGTERM"


def test_a_node_is_not_killed_before_its_grace_has_ended_and_its_tasks_fit_its_memory(secrets: Path) -> None:
    node = SERVICES["node"]
    settings = Settings.from_env(environment_of("node", secrets))
    assert seconds(node["stop_grace_period"]) > settings.grace + 15
    limit = int(node["deploy"]["resources"]["limits"]["memory"].removesuffix("G")) << 30
    slots = int(node["command"][node["command"].index("--slots") + 1])
    assert settings.task_memory is not None
    assert slots * settings.task_memory + (256 << 20) <= limit


def test_a_master_has_room_for_its_page_and_tmp_which_is_memory_too() -> None:
    master = SERVICES["master"]
    limit = int(master["deploy"]["resources"]["limits"]["memory"].removesuffix("M")) << 20
    assert master["tmpfs"] == ["/tmp:mode=1777,size=256m"]
    assert limit >= MEMORY_BYTES + (512 << 20)


@pytest.mark.parametrize("service", OURS)
def test_each_setting_is_one_and_each_command_a_verb(service: str, secrets: Path) -> None:
    environment = environment_of(service, secrets)
    known = {PREFIX + name.upper() for name in Settings.__slots__} | {PREFIX + "SECRET_FILE"}
    assert set(environment) <= known
    settings = Settings.from_env(environment)
    assert settings.redis
    assert settings.secret
    verb, *options = SERVICES[service]["command"]
    cli.every()[verb].make_context(verb, list(options))


def test_no_password_is_in_the_compose_file() -> None:
    text = (OPS / "compose.yaml").read_text()
    assert "redis://" not in text
    assert PREFIX + "SECRET:" not in text


def test_secrets_are_made_once_all_different_and_for_the_operator_only(secrets: Path) -> None:
    users = (secrets / "users.conf").read_text()
    passwords = [word for word in users.split() if word.startswith(">")]
    assert len(set(passwords)) == len(passwords) == 8
    assert {len(password) for password in passwords} == {65}
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    for service, user in {
        "node": "worker",
        "master": "master",
        "standby": "master",
        "client": "client",
    }.items():
        url = environment_of(service, secrets)["DISCO_RQ_REDIS"]
        password = url.removeprefix(f"redis://{user}:").removesuffix("@redis:6379/0")
        assert f"user {user} on >{password} " in users
    again = subprocess.run(["sh", secrets.parent / "make-secrets.sh"], capture_output=True, text=True)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert (secrets / "users.conf").read_text() == users


# -- the image


def ignored(path: str) -> bool:
    """What .dockerignore says of a path: the last line that fits counts."""
    told = False
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch(path, pattern) or path.startswith(f"{pattern}/"):
                told = not line.startswith("!")
    return told


def test_all_that_is_copied_is_there_and_not_ignored() -> None:
    copied = [rest.split()[:-1] for word, rest in dockerfile() if word == "COPY" and "--from" not in rest]
    sources = [source for each in copied for source in each]
    assert {"disco_rq", "pyproject.toml", "workers/disco_node.py"} <= set(sources)
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert not ignored(source)
    for left_out in ("ops/secrets/disco-rq", ".git/config", "tests/nodes.py", ".venv/bin/python"):
        assert ignored(left_out)


def test_all_that_the_wheel_needs_is_copied() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    needed |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = {source for word, rest in dockerfile() if word == "COPY" for source in rest.split()[:-1]}
    assert needed <= copied


def test_the_image_runs_our_program_as_nobody_in_particular() -> None:
    told = dict(dockerfile())
    [program] = json.loads(told["ENTRYPOINT"])
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert program in scripts
    verb, *options = json.loads(told["CMD"])
    cli.every()[verb].make_context(verb, options)
    user = told["USER"].partition(":")[0]
    assert int(user) > 0
    assert any(f"--uid {user} " in rest for word, rest in dockerfile() if word == "RUN")


def test_the_image_sets_what_are_settings() -> None:
    environment = image_environment()
    names = {name for name in environment if name.startswith(PREFIX)}
    assert names == {PREFIX + "DATA", PREFIX + "DATA_HTTP", PREFIX + "HTTP"}
    settings = Settings.from_env(environment)
    told = dict(dockerfile())
    ports = {settings.http.rpartition(":")[2], settings.data_http.rpartition(":")[2]}
    assert ports == set(told["EXPOSE"].split())
    assert f"{settings.data}" in told["RUN"]
