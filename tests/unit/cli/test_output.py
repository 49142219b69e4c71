"""What the verbs print: every pair one line, every value some JSON, whatever the types."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from disco_rq.cli.output import (
    _say_once,
    count,
    json_of,
    print_facts,
    print_table,
    seconds,
    share,
    size,
    write_pairs,
)
from disco_rq.views.lines import text_of

HALF = "cut \ud83d"
"""Half of an emoji, as cut JSON texts have it."""


def lines(pairs: list[tuple[Any, Any]], *, as_json: bool = False) -> bytes:
    out = io.BytesIO()
    assert write_pairs(iter(pairs), out, as_json=as_json) == len(pairs)
    return out.getvalue()


def test_a_pair_is_key_tab_value() -> None:
    assert lines([("a", 1), (("x", 2), None)]) == b"a\t1\n('x', 2)\tNone\n"


def test_text_that_was_no_utf8_comes_out_as_it_went_in() -> None:
    assert lines([(b"\xff\xfe", "caf\udce9")]) == b"\xff\xfe\tcaf\xe9\n"


def test_tabs_and_line_ends_do_not_break_the_line() -> None:
    assert lines([("a\tb", "c\nd\r")]) == b"a\\tb\tc\\nd\\r\n"


def test_as_json_each_pair_is_a_list_on_a_line() -> None:
    written = lines([("a\n", {"n": [1, 2.5, None]}), (("k", 1), "ü")], as_json=True)

    assert [json.loads(line) for line in written.splitlines()] == [
        ["a\n", {"n": [1, 2.5, None]}],
        [["k", 1], "ü"],
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({3, 1, 2}, [1, 2, 3]),
        (b"bytes\xff", "bytes\\xff"),
        ("caf\udce9", "caf\\udce9"),
        (datetime.fromisoformat("2026-11-23T20:39:00+00:00"), "2026-11-23T20:39:00+00:00"),
        ({1: "a", ("k", 2): "b"}, {"1": "a", "['k', 2]": "b"}),
        (2**80, 2**80),
        (HALF, "cut \\ud83d"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2), "01:02:00"),
        (timedelta(days=1, microseconds=1), 86400.000001),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({(1, math.nan): None}, {"[1, None]": None}),
    ],
)
def test_every_type_of_record_has_some_json(value: Any, expected: Any) -> None:
    assert json.loads(json_of(value)) == expected


def test_text_that_no_encoding_holds_is_escaped_and_no_error() -> None:
    assert lines([(HALF, "\ud83d\udcff")]) == b"cut \\ud83d\t\\ud83d\xff\n"


def test_a_command_prints_ints_of_any_size_and_lists_of_any_depth() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    program = (
        "import sys; from disco_rq.cli.output import printing_any_value, write_pairs\n"
        "deep = 1\n"
        "for _ in range(500): deep = [deep]\n"
        "with printing_any_value():\n"
        "    for as_json in (False, True):\n"
        "        write_pairs([(10 ** 5000, deep)], sys.stdout.buffer, as_json=as_json)\n"
        "    print('address\\udce9', '\\ud83d')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    text, as_json, address = done.stdout.splitlines()

    key = b"1" + b"0" * 5000
    assert text == key + b"\t" + repr(deep).encode()
    assert json.loads(as_json) == [key.decode(), deep]
    assert done.stderr == b"disco-rq: ints of more than 4300 digits are text in JSON\n"
    assert address == b"address\xe9 \\ud83d"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_has_null_for_what_is_no_number_and_stderr_says_so_once(
    number: float, capsys: pytest.CaptureFixture[str]
) -> None:
    _say_once.cache_clear()

    assert lines([("n", number), ("n", [number])], as_json=True) == b'["n", null]\n["n", [null]]\n'
    assert capsys.readouterr().err == "disco-rq: NaN and infinite numbers are null in JSON\n"


def test_a_dict_loses_no_entry_in_json_though_two_keys_look_alike() -> None:
    assert json.loads(json_of({1: "a", "1": "b"})) == [[1, "a"], ["1", "b"]]


def test_text_of_numbers_is_as_python_writes_them() -> None:
    assert [text_of(value) for value in (1.0, 2**80, True)] == [b"1.0", str(2**80).encode(), b"True"]


def test_what_is_no_number_is_text_that_other_programs_read() -> None:
    assert lines([(math.nan, math.inf), ("x", -math.inf)]) == b"NaN\tInfinity\nx\t-Infinity\n"


def test_amounts_are_plain_in_a_pipe_and_as_people_write_them_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed() -> list[str]:
        print_table(
            ("n", "size", "took", "done"), [(count(12345), size(1536), seconds(90_500), share(0.999))]
        )
        return capsys.readouterr().out.splitlines()[1].split("  ")

    assert printed() == ["12345\t1536\t90.5\t0.99"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert printed() == ["12,345", "1.5 KiB", "1 min 30 s", "99%"]
    print_table(("n",), [(count(None),)])
    assert capsys.readouterr().out == "n\n\n"


def test_a_table_in_a_pipe_is_a_header_and_fields_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n"), [("a", 1), ("b", 22)])

    assert capsys.readouterr().out == "name\tn\na\t1\nb\t22\n"


def test_a_table_on_a_terminal_has_a_header_and_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    print_table(("name", "n"), [("a", 1), ("bcdef", 22)])

    assert capsys.readouterr().out == "name   n\na      1\nbcdef  22\n"


def test_facts_have_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("job", "a@1"), ("counter x", 22)])

    assert capsys.readouterr().out == "job\ta@1\ncounter x\t22\n"
