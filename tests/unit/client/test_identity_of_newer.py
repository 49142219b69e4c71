"""Identity of what only newer Pythons have: sentinels, frozen dicts, lazy imports are told like the rest."""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from disco_rq.client.identity import CannotTell, identity_of, same_code

pytestmark = pytest.mark.skipif(sys.version_info < (3, 15), reason="new in Python 3.15")


def test_a_sentinel_is_its_name() -> None:
    make: Any = vars(builtins)["sentinel"]

    assert same_code(make("MISSING"), make("MISSING"))
    assert not same_code(make("MISSING"), make("NOTHING"))


def test_a_frozen_dict_is_what_it_holds() -> None:
    make: Any = vars(builtins)["frozendict"]

    assert same_code(make(a=[1]), make(a=[1]))
    assert not same_code(make(a=[1]), make(a=[2]))
    assert not same_code(make(a=1), {"a": 1})


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a program anew, with its helper; each time as in a process that has used nothing of it yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def imported(text: str, helper: str = "") -> Any:
        for name, it in {"lazy_program": text, "lazy_helper": helper}.items():
            (tmp_path / f"{name}.py").write_text(it)
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("lazy_program").map

    return imported


def test_a_lazy_import_is_what_it_stands_for(program: Any) -> None:
    text = "import lazy_helper\ndef map(e, params):\n    yield lazy_helper.double(e), 1"
    lazily, double = f"lazy {text}", "def double(n):\n    return n * 2"

    first = identity_of(program(text, double)).digest
    assert identity_of(program(lazily, double)).digest == first
    assert identity_of(program(lazily, double.replace("2", "3"))).digest != first


def test_a_lazy_name_of_the_runtime_is_one(program: Any) -> None:
    text = "lazy from disco_rq.runtime import put\ndef map(e, params):\n    put(e, 1)"

    assert identity_of(program(text)).runtime == {"put"}


def test_a_lazy_import_that_fails_cannot_be_told(program: Any) -> None:
    text = "lazy import nowhere_at_all\ndef map(e, params):\n    yield nowhere_at_all.f(e), 1"

    with pytest.raises(CannotTell, match="'nowhere_at_all'> fails: ModuleNotFoundError"):
        identity_of(program(text))
