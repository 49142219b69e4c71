"""What the next owner is told is there: paths, make targets, wings, and the hooks of pre-commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.documents import PAGES, README, ROOT

GUIDE = ROOT / ".github" / "CONTRIBUTING.md"
HOOKS = ROOT / ".pre-commit-config.yaml"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="an sdist has no .github")


def test_every_path_that_the_guide_names_exists() -> None:
    named = re.findall(r"(?:disco_rq|tests|ops|workers)/[\w./-]*\w/?|\b\w+\.(?:toml|md)\b", GUIDE.read_text())

    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "document", [README, *PAGES, ROOT / "ops" / "README.md", ROOT / "workers" / "README.md"]
)
def test_every_file_of_ours_that_a_document_names_exists(document: Path) -> None:
    named = re.findall(
        r"(?:disco_rq|tests|ops|workers)/[\w./-]*\w\.(?:py|lua|sh|conf)\b", document.read_text()
    )

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_wing_is_on_the_map() -> None:
    wings = {path.parent.name for path in ROOT.glob("disco_rq/*/__init__.py")} - {"examples"}

    assert wings == set(re.findall(r"`disco_rq/(\w+)/`", GUIDE.read_text().partition("## How")[0]))


def test_every_make_target_that_the_guide_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"make ([a-z]+)`", GUIDE.read_text())) <= targets


def test_the_hooks_run_what_make_lint_runs() -> None:
    [lint] = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    hooks = [hook for repo in yaml.safe_load(HOOKS.read_text())["repos"] for hook in repo["hooks"]]

    assert [hook["entry"] for hook in hooks] == lint.replace("$(BIN)", ".venv/bin").replace(
        "\t", ""
    ).splitlines()
    assert {(hook["language"], hook["pass_filenames"]) for hook in hooks} == {("system", False)}
