"""What ops/compose.yaml and workers/Dockerfile say, as data; and secrets, made by their script."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.services import OPS, REPOSITORY

DOCKERFILE = REPOSITORY / "workers" / "Dockerfile"


def compose() -> dict[str, Any]:
    """The compose file, each ``${NAME:-default}`` as its default."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (OPS / "compose.yaml").read_text())
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def dockerfile() -> list[tuple[str, str]]:
    """Its instructions in order: the word in capitals, and what stands behind it."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    words = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in words]


def image_environment() -> dict[str, str]:
    pairs = [pair for word, rest in dockerfile() if word == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def image_health() -> list[str]:
    """The command of its HEALTHCHECK."""
    [rest] = [rest for word, rest in dockerfile() if word == "HEALTHCHECK"]
    command: list[str] = json.loads(rest.partition(" CMD ")[2])
    return command


def make_secrets(directory: Path) -> Path:
    """Run make-secrets.sh in a copy of what it needs; the directory that it made."""
    for name in ("make-secrets.sh", "users.conf"):
        shutil.copy(OPS / name, directory)
    done = subprocess.run(["sh", directory / "make-secrets.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return directory / "secrets"


def environment_of(service: str, secrets: Path) -> dict[str, str]:
    """What a container of the service gets beside the image's: its env file, then its environment."""
    told = compose()["services"][service]
    lines = (secrets.parent / told["env_file"]).read_text().splitlines()
    own = {name: str(value) for name, value in told["environment"].items()}
    mounted = own["DISCO_RQ_SECRET_FILE"].replace("/run/secrets/", f"{secrets}/")
    return dict(line.split("=", 1) for line in lines) | own | {"DISCO_RQ_SECRET_FILE": mounted}
