"""What an error says of its process, and of what it came from."""

from __future__ import annotations

import errno

import pytest

from disco_rq.attempt.usercode import describe
from disco_rq.machine.exhaustion import is_exhaustion


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause", [MemoryError(), OSError(errno.EMFILE, "x"), RuntimeError("can't start new thread")]
)
def test_a_process_at_its_end_is_told_through_what_the_error_came_from(cause: Exception) -> None:
    assert is_exhaustion(caused(ValueError("outer"), caused(KeyError("inner"), cause)))
    assert not is_exhaustion(caused(ValueError("outer"), KeyError("inner")))


def test_an_error_that_is_its_own_cause_is_told_like_any_other() -> None:
    error = ValueError("wrong")
    assert caused(error, error).__cause__ is error
    other = caused(KeyError("other"), error)
    error.__cause__ = other
    for one in (error, other):
        assert not is_exhaustion(one)
        assert "wrong" in describe(error).message


def of_a_map(what: str) -> str:
    try:
        eval(what, {})
    except NameError as error:
        return describe(error).message
    raise AssertionError("it is defined")


def test_a_name_that_is_a_module_says_how_it_is_found() -> None:
    assert of_a_map("json.loads('1')") == (
        "NameError: name 'json' is not defined "
        "(json is a module: import it, or submit with required_modules=['json'])"
    )


def test_a_name_of_func_says_where_it_is_imported_from() -> None:
    assert of_a_map("kvgroup([])") == (
        "NameError: name 'kvgroup' is not defined "
        "(write 'from disco_rq.func import kvgroup' at the top of the program)"
    )


@pytest.mark.parametrize("name", ["jsonn", "__main__", "prefix"])
def test_a_name_that_is_none_says_no_more_than_python(name: str) -> None:
    assert of_a_map(name) == f"NameError: name {name!r} is not defined"
