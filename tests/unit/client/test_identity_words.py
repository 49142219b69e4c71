"""Names and words of a program count where they change what it gives out."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.client.identity import identity_of


def digest(text: str, name: str = "maps") -> str:
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(text, module)  # noqa: S102
    return identity_of(module[name]).digest


@pytest.mark.parametrize(
    "text",
    [
        "def g(**k): return k\ndef maps(): return g({}=1)",
        "class C: pass\ndef maps(): return C.f({}=1)",
        "def maps(a, {}): return a",
        "def maps(*{}): pass",
        "def maps(**{}): pass",
        "def maps(*, {}): pass",
        "def maps():\n    '{}'\n    return maps.__doc__",
        "class Row:\n    n: '{}'\ndef maps(): return Row.__annotations__",
        "import typing\nclass Row:\n    n: {}\ndef maps(): return typing.get_type_hints(Row)",
        "class Row:\n    '{}'\ndef maps(): return Row.__doc__",
        "import inspect\ndef f(x: {}): pass\ndef maps(): return inspect.signature(f)",
        "def f(a, b):\n    {} = 1\ndef maps(): return f.__code__.co_varnames",
    ],
)
def test_a_name_or_a_word_counts_where_the_code_may_tell_it(text: str) -> None:
    assert digest(text.format("int")) == digest(text.format("int"))
    assert digest(text.format("int")) != digest(text.format("float"))


def test_the_order_of_parameters_counts() -> None:
    assert digest("def maps(a, b): return a - b") != digest("def maps(b, a): return a - b")
