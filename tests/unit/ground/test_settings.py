"""Settings from the environment: numbers with units, the secret's file, and what a repr shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from disco_rq import settings as ground
from disco_rq.errors import SettingsError
from disco_rq.settings import NAMES, PARTS, PREFIX, Settings, key_prefix, rq_program
from disco_rq.store.address import shown_address

MANUAL = Path(ground.__file__).with_name("manual") / "settings.md"


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("2g", 2 << 30), ("1.5M", 3 << 19), ("64k", 64 << 10), ("", None)]
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str, size: int | None) -> None:
    assert Settings.from_env({"DISCO_RQ_MIN_FREE": text}).min_free == size


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("5m", 300), ("7d", 604_800), ("0.5s", 0.5)])
def test_a_time_is_a_number_with_or_without_a_unit(text: str, seconds: float) -> None:
    assert Settings.from_env({"DISCO_RQ_GC_AFTER": text}).gc_after == seconds


@pytest.mark.parametrize("name", ["TASK_MEMORY", "MIN_FREE", "GRACE", "GC_AFTER", "SWEEP_AFTER"])
@pytest.mark.parametrize("wrong", ["much", "-1", "2 apples", "1x", "1gg"])
def test_a_number_that_is_none_is_refused_by_the_name_of_its_variable(name: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=rf"DISCO_RQ_{name}='{wrong}': it takes a number"):
        Settings.from_env({f"DISCO_RQ_{name}": wrong})


@pytest.mark.parametrize(
    ("name", "text", "instead"),
    [
        ("GC_AFTER", "0", "leave it empty for never"),
        ("GC_AFTER", "0.0d", "leave it empty for never"),
        ("SWEEP_AFTER", "0", "such as 3650d, for never"),
        ("TASK_MEMORY", "0", "leave it empty for no limit"),
        ("TASK_MEMORY", "2", "it takes 1m or more, such as 2g"),
        ("REUSE_MAX", "0", "it takes a number from 1"),
    ],
)
def test_a_number_without_sense_is_refused_with_what_to_write(name: str, text: str, instead: str) -> None:
    with pytest.raises(SettingsError, match=f"DISCO_RQ_{name}='{text}': .*{instead}"):
        Settings.from_env({f"DISCO_RQ_{name}": text})


def test_no_grace_and_no_minimum_of_disk_have_a_sense() -> None:
    settings = Settings.from_env({"DISCO_RQ_GRACE": "0", "DISCO_RQ_MIN_FREE": "0"})
    assert (settings.grace, settings.min_free) == (0, 0)


@pytest.mark.parametrize("prefix", ["disco", "{disco}", "prod:{a}", "a.b-c", "team1:jobs", "job"])
def test_a_prefix_may_have_parts_and_one_pair_of_braces(prefix: str) -> None:
    assert key_prefix({"DISCO_RQ_PREFIX": prefix}) == prefix


@pytest.mark.parametrize("prefix", ["{disco", "disco}", "}a{", "{a}{b}", "{{a}}", "a{}", ":a", "a:", "rq:a"])
def test_a_prefix_with_braces_or_colons_that_say_nothing_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match="DISCO_RQ_PREFIX="):
        key_prefix({"DISCO_RQ_PREFIX": prefix})


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_prefix_inside_of_another_clusters_keys_is_refused(part: str) -> None:
    for prefix in (f"team1:{part}", f"team1:{part}:x"):
        with pytest.raises(SettingsError, match="keys of the cluster team1 begin so"):
            key_prefix({"DISCO_RQ_PREFIX": prefix})


def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("new,old\n")
    assert Settings.from_env({"DISCO_RQ_SECRET_FILE": str(file)}).secret == b"new,old"


def test_a_secret_file_that_has_none_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(SettingsError, match=r"DISCO_RQ_SECRET_FILE=.*the file is empty"):
        Settings.from_env({"DISCO_RQ_SECRET_FILE": str(empty)})
    with pytest.raises(SettingsError, match=r"DISCO_RQ_SECRET_FILE=.*No such file"):
        Settings.from_env({"DISCO_RQ_SECRET_FILE": str(tmp_path / "none")})
    with pytest.raises(SettingsError, match="both set"):
        Settings.from_env({"DISCO_RQ_SECRET_FILE": str(empty), "DISCO_RQ_SECRET": "x"})


def test_no_secret_is_in_a_repr() -> None:
    settings = Settings.from_env({"DISCO_RQ_SECRET": "s3cret", "DISCO_RQ_REDIS": "redis://:pa55@host"})
    assert "s3cret" not in repr(settings)
    assert "pa55" not in repr(settings)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://me:pa55@host:1/0", "redis://me:***@host:1/0"),
        ("unix:///run/redis.sock?db=1&password=pa55", "unix:///run/redis.sock?db=1&***"),
        ("redis://host/0?password=pa55&db=1", "redis://host/0?***&db=1"),
        ("redis://host", "redis://host"),
        ("redis+sentinel://me:pa55@a:1,b:2/m", "redis+sentinel://me:***@a:1,b:2/m"),
        ("redis+sentinel://a/m?sentinel_password=pa55&db=1", "redis+sentinel://a/m?***&db=1"),
        ("rediss://host/0?ssl_password=pa55", "rediss://host/0?***"),
        ("redis://:pa/55@host:1/0", "redis://…"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def test_the_program_of_rq_is_named_with_the_prefix_of_its_keys() -> None:
    assert rq_program({}) == "rq"
    assert rq_program({"DISCO_RQ_PREFIX": "team1"}) == "RQ_KEY_PREFIX=team1:rq rq"
    assert rq_program({"DISCO_RQ_PREFIX": "{disco}"}) == "RQ_KEY_PREFIX='{disco}:rq' rq"
    assert rq_program({"DISCO_RQ_PREFIX": "team1", "RQ_KEY_PREFIX": "rq"}) == "rq"


def test_every_variable_of_the_manual_is_known_and_the_others_are_not_for_users() -> None:
    told = set(re.findall(r"^\| `(\w+)`", MANUAL.read_text(), re.M))
    assert told - NAMES == set()
    assert NAMES - told == {PREFIX + "SECRET_KEPT", PREFIX + "POSIX_ONLY"}
