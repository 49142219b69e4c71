"""The wheel that users install holds all of the package and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import disco_rq
from disco_rq.version import __version__

PACKAGE = Path(*disco_rq.__path__)
CHECKOUT = PACKAGE.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(CHECKOUT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return zipfile.Path(path)


def files_in(wheel: zipfile.Path) -> set[str]:
    return {name for name in wheel.root.namelist() if not name.endswith("/")}


def test_its_only_top_level_package_is_disco_rq(wheel: zipfile.Path) -> None:
    tops = {name.partition("/")[0] for name in files_in(wheel)}

    assert tops == {"disco_rq", f"disco_rq-{__version__}.dist-info"}


def test_every_file_of_the_package_is_inside(wheel: zipfile.Path) -> None:
    in_checkout = {
        str(path.relative_to(CHECKOUT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    in_wheel = {name for name in files_in(wheel) if name.startswith("disco_rq/")}

    assert in_wheel == in_checkout
    assert "disco_rq/py.typed" in in_wheel
    assert any(name.endswith(".lua") for name in in_wheel)


def test_the_readme_tells_of_the_pythons_that_the_metadata_name(wheel: zipfile.Path) -> None:
    metadata = Parser().parsestr((wheel / f"disco_rq-{__version__}.dist-info" / "METADATA").read_text())
    named = re.findall(r":: (3\.\d+)$", "\n".join(metadata.get_all("Classifier", [])), re.MULTILINE)
    [line] = re.findall(
        r"^Python versions: (.*(?:\n.+)*)", (CHECKOUT / "README.md").read_text(), re.MULTILINE
    )
    assert named == [f"3.{minor}" for minor in range(11, 16)]
    assert {found[0] for found in re.findall(r"\b(3\.\d+)(\.\d+)?", line)} == set(named)


def test_its_metadata_name_the_version_the_licence_and_the_program(wheel: zipfile.Path) -> None:
    info = wheel / f"disco_rq-{__version__}.dist-info"

    metadata = Parser().parsestr((info / "METADATA").read_text())

    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert "disco-rq = disco_rq.cli:main" in (info / "entry_points.txt").read_text()
