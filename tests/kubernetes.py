"""What ops/kubernetes says, as data."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import OPS

DIRECTORY = OPS / "kubernetes"
OVERLAYS = ("dev", "production")
KUSTOMIZE = (5, 0)
"""The first that changes a kind with a patch and has labels with selectors."""

Document = dict[str, Any]


def plain_documents() -> list[tuple[str, Document]]:
    """All that is in base and components, as it lies there: where from, and what."""
    files = [path for path in sorted(DIRECTORY.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    return [
        (f"{path.relative_to(DIRECTORY)}:{document['metadata']['name']}", document)
        for path in files
        for document in yaml.safe_load_all(path.read_text())
    ]


def plain(kind: str, name: str) -> Document:
    [found] = [one for _, one in plain_documents() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def container(document: Document) -> Document:
    """The only one of its pods."""
    [found] = document["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def told_environment(document: Document) -> dict[str, str]:
    """The plain values of its container's environment."""
    return {one["name"]: one["value"] for one in container(document)["env"] if "value" in one}


@cache
def _has_kustomize() -> bool:
    if shutil.which("kubectl") is None:
        return False
    told = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True)
    found = re.search(r"Kustomize Version: v(\d+)\.(\d+)", told.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= KUSTOMIZE


def built(directory: Path, overlay: str, *components: str) -> list[Document]:
    """What ``kubectl apply -k`` would apply, with secrets of its own; ``components``: instead of its own."""
    if not _has_kustomize():
        pytest.skip("no kubectl with kustomize 5 here")
    copy = directory / "ops"
    shutil.copytree(OPS, copy, ignore=shutil.ignore_patterns("secrets*", "screenshots"))
    place = copy / "kubernetes" / "overlays" / overlay
    if components:
        told = yaml.safe_load((place / "kustomization.yaml").read_text())
        told["components"] = [f"../../components/{one}" for one in components]
        (place / "kustomization.yaml").write_text(yaml.safe_dump(told))
    subprocess.run(["sh", copy / "make-secrets.sh", place], check=True, capture_output=True)
    done = subprocess.run(["kubectl", "kustomize", place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
