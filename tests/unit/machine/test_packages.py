"""What is installed, as a node tells it and a client compares it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from disco_rq.machine.packages import distribution_of, installed, same_line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site-packages directory, the only one."""
    directory = tmp_path / "site-packages"
    directory.mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "missing" / "site-packages"), str(directory)])
    return directory


def test_a_name_that_is_no_text_is_left_out(place: Path) -> None:
    (place / "\udcff\udcfe").mkdir()
    (place / "\udcff-1.0.dist-info").mkdir()
    (place / "müll.py").touch()

    assert installed() == {"müll": ""}


def test_distributions_and_modules_are_told_by_their_names_alone(place: Path) -> None:
    for folder in ("PyYAML-6.0.2.dist-info", "yaml", "ruamel.yaml-0.18.1.dist-info", "__pycache__", "numpy"):
        (place / folder).mkdir()
    for folder in ("numpy-2.1.0.dist-info", "old-1.2-py3.11.egg-info", "scikit_learn-1.5.dist-info"):
        (place / folder).mkdir()
    for file in ("six.py", "_cffi_backend.cpython-311-x86_64-linux-gnu.so", "not-a-module", "some.pth"):
        (place / file).touch()

    assert installed() == {
        "pyyaml": "6.0.2",
        "ruamel-yaml": "0.18.1",
        "numpy": "2.1.0",
        "old": "1.2",
        "scikit-learn": "1.5",
        "yaml": "",
        "six": "",
        "_cffi_backend": "",
    }


def test_what_comes_first_on_the_path_counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.parent / "dist-packages"
    (first / "six-1.16.dist-info").mkdir(parents=True)
    (place / "six-1.9.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(first), str(place)])

    assert installed() == {"six": "1.16"}


def test_a_users_own_directory_is_nothing_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    assert installed() == {}


@pytest.mark.parametrize(
    ("module", "name"), [("msgpack", "msgpack"), ("jinja2", "jinja2"), ("_pytest", "pytest")]
)
def test_a_module_is_known_by_its_distribution(module: str, name: str) -> None:
    found = distribution_of(module)

    assert found is not None
    assert found[0] == name
    assert installed()[name] == found[1]


def test_a_module_of_no_distribution_has_none() -> None:
    assert distribution_of("no_such_module") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        *(("2.1.0", "2.4", True), ("2.1", "1.26", False), ("0.4.1", "0.4.9", True), ("0.4", "0.5", False)),
        *(("2025.2", "2025.11", True), ("1", "1.0rc1", True), ("10.1", "1.0", False)),
    ],
)
def test_versions_of_one_line_promise_to_be_compatible(one: str, other: str, same: bool) -> None:
    assert same_line(one, other) is same
