"""What the doctor makes of what it is told: one ok where all is well, else a line for each that is not."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.doctor.finding import Finding
from disco_rq.doctor.machines import Here, node_findings
from disco_rq.doctor.server import restart_findings, server_findings, unreached_server
from disco_rq.store.viewing import NodeView, SlotView

HERE = Here(python="3.11.7", version="0.1.0", protocol=1, secret=["aaaa"], packages={})
HEALTHY = {
    "redis_version": "7.2.4",
    "aof_enabled": 1,
    "maxmemory_policy": "noeviction",
    "used_memory": 10 << 20,
    "maxmemory": 100 << 20,
}
NOW_MS = 10_000_000


def server(round_trip_s: float = 0.001, skew_ms: int = 0, **info: Any) -> dict[str, Finding]:
    return {
        found.what: found
        for found in server_findings("redis://r", {**HEALTHY, **info}, round_trip_s, skew_ms)
    }


def node(name: str = "n1", *, slots: int = 2, blacklisted: bool = False, **about: str) -> NodeView:
    told = {
        "host": "h",
        "python": "3.11.2",
        "version": "0.1.0",
        "protocol": "1",
        "hash_seed": "0",
        "secret": "aaaa",
        "disk_free": "90",
        "disk_total": "100",
        "clock_ms": "3",
        "seen": str(NOW_MS - 180_000),
    }
    views = [SlotView(f"{name}.{i}", NOW_MS, None) for i in range(slots)]
    return NodeView(name, {**told, **about}, views, blacklisted, draining=False, closed="", queued=0)


def examined(*nodes: NodeView, here: Here = HERE, **more: Any) -> list[Finding]:
    told: dict[str, Any] = {"closed": {}, "packages": {}, "reached": {}, **more}
    return node_findings(nodes, here, now_ms=NOW_MS, **told)


def problems(findings: list[Finding]) -> list[Finding]:
    return [found for found in findings if found.level != "ok"]


def test_a_healthy_server_is_ok_throughout() -> None:
    assert {found.level for found in server().values()} == {"ok"}


@pytest.mark.parametrize(
    ("told", "what", "level", "part"),
    [
        ({"aof_enabled": 0}, "persistence", "warn", "no append-only file"),
        ({"aof_last_write_status": "err"}, "persistence", "fail", "cannot be written"),
        ({"rdb_last_bgsave_status": "err"}, "persistence", "fail", "snapshot failed: it refuses writes"),
        ({"role": "slave", "master_host": "h"}, "redis", "fail", "is a replica and takes no writes"),
        ({"role": "slave", "slave_read_only": 0}, "redis", "ok", "answers"),
        ({"aof_enabled": 0, "rdb_last_bgsave_status": "err"}, "persistence", "fail", "snapshot failed"),
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", "fail", "allkeys-lru"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 0}, "eviction", "warn", "allkeys-lru"),
        ({"used_memory": 85 << 20}, "memory", "warn", "85.0 MiB used of 100.0 MiB"),
        (
            {"used_memory": 60 << 30, "maxmemory": 0, "total_system_memory": 64 << 30},
            *("memory", "warn", "60.0 GiB used of the machine's 64.0 GiB"),
        ),
        ({"used_memory": 99 << 20}, "memory", "fail", "99.0 MiB used of 100.0 MiB"),
        ({"maxmemory": 0, "total_system_memory": 11 << 20}, "memory", "warn", "no maxmemory"),
        ({"maxmemory": 0, "total_system_memory": 99 << 20}, "memory", "ok", "no maxmemory"),
        ({"skew_ms": -5_000}, "clock here", "warn", "5 s behind"),
        ({"round_trip_s": 0.2}, "redis", "warn", "200.0 ms"),
        ({"valkey_version": "9.0.1"}, "redis", "ok", "Valkey 9.0.1"),
    ],
)
def test_what_ails_the_server_is_told(told: dict[str, Any], what: str, level: str, part: str) -> None:
    found = server(**told)

    assert found[what].level == level
    assert part in found[what].text
    assert found[what].do or level == "ok"
    assert {other.level for other in found.values() if other.what != what} == {"ok"}


@pytest.mark.parametrize(
    ("why", "do"),
    [
        ("Redis at redis://r refuses the login: WRONGPASS", "put the login into the address"),
        ("Redis at redis://r is version 5.0; 6.2 or newer is needed", "upgrade it"),
        ("Redis at redis://r cannot be reached: BUSY Redis is busy running a script.", "SCRIPT KILL"),
        ("Redis at rediss://r cannot be reached: [SSL: CERTIFICATE_VERIFY_FAILED] …", "?ssl_ca_certs="),
        ("… CERTIFICATE_VERIFY_FAILED] … certificate is not valid for '10.0.0.1'.", "the host that its"),
        ("Redis at redis://r cannot be reached: Connection refused", "start it"),
    ],
)
def test_what_to_do_about_a_server_is_told_by_why_it_is_not_reached(why: str, do: str) -> None:
    assert do in unreached_server(why)


def test_healthy_nodes_are_ok_throughout() -> None:
    found = examined(node("n1"), node("n2"), packages={"n1": {"six": "1.1"}, "n2": {"six": "1.2", "x": ""}})

    assert problems(found) == []
    assert found[0].text == "2 alive with 4 slots"


def test_no_node_is_a_fail() -> None:
    [none, gone] = problems(examined(node("n1", slots=0)))

    assert (none.level, none.what) == ("fail", "nodes")
    assert (gone.level, gone.text) == ("warn", "n1 (h) is gone, for 3 min")


def test_a_node_that_said_good_bye_is_no_problem() -> None:
    found = examined(node("n1"), node("n2", slots=0, left=str(NOW_MS)))

    assert problems(found) == []
    assert "1 said good-bye, and will be forgotten after a day: n2" in [finding.text for finding in found]


@pytest.mark.parametrize(
    ("about", "what", "part"),
    [
        ({"disk_free": "5"}, "disks", "n2 has 5 B of 100 B free"),
        ({"unknown_jobs": "2", "swept_in_s": "7200"}, "jobs' files", "n2 has files of 2 jobs that Redis"),
        ({"clock_ms": "61000"}, "clocks", "n2 is 61 s ahead of the server"),
        ({"python": "3.13.1"}, "python", "3.13.1 on n2, 3.11.7 here"),
        ({"hash_seed": "its own"}, "hash seed", "another on n2: partition functions that call hash()"),
        ({"rq_prefix": "foo"}, "rq keys", "begin with foo on n2, with rq here"),
        ({"protocol": "2", "version": "0.9"}, "disco-rq", "0.9 on n2, 0.1.0 here"),
        ({"version": "0.1.1"}, "disco-rq", "0.1.1 on n2"),
    ],
)
def test_what_ails_one_of_two_nodes_is_a_warning(about: dict[str, Any], what: str, part: str) -> None:
    [found] = problems(examined(node("n1"), node("n2", **about)))

    assert (found.level, found.what) == ("warn", what)
    assert part in found.text
    assert found.do


def test_nodes_whose_keys_of_rq_differ_fail_and_a_client_alone_is_warned() -> None:
    [split] = problems(examined(node("n1", rq_prefix="rq"), node("n2", rq_prefix="a")))
    [alone] = problems(examined(node("n1", rq_prefix="a"), node("n2", rq_prefix="a"), node("old")))

    assert (split.level, alone.level) == ("fail", "warn")
    assert "begin with a on n1, n2" in alone.text


@pytest.mark.parametrize("about", [{"python": "3.13.1"}, {"protocol": "2"}])
def test_when_no_node_can_run_what_is_submitted_here_it_fails(about: dict[str, Any]) -> None:
    found = problems(examined(node("n1", **about), node("n2", **about)))

    assert {finding.level for finding in found} == {"fail"}


def test_nodes_that_take_no_tasks_are_told_with_the_reason() -> None:
    shut = node("n2", blacklisted=True)

    assert [
        found.text for found in problems(examined(node("n1"), shut, closed={"n1": "too little disk"}))
    ] == [
        "n1 takes none: too little disk",
        "n2 takes none: it is blacklisted",
        "no node takes any: jobs wait",
    ]


def test_files_that_cannot_be_read_from_here_fail() -> None:
    [found] = problems(examined(node("n1"), reached={"n1": "http://n1:1: Connection refused"}))

    assert (found.level, found.what) == ("fail", "files")
    assert "Connection refused" in found.text


def test_packages_that_differ_between_nodes_are_told() -> None:
    packages = {"n1": {"numpy": "2.1", "six": "1.1", "yaml": ""}, "n2": {"numpy": "1.26"}}

    assert [found.text for found in problems(examined(node("n1"), node("n2"), packages=packages))] == [
        "numpy 2.1 on n1, 1.26 on n2",
        "n2 lacks what others have: six",
    ]


def test_packages_of_another_major_version_than_here_are_told() -> None:
    here = HERE._replace(packages={"numpy": "1.26", "six": "1.3", "black": "25.1"})
    packages = {"n1": {"numpy": "2.1", "six": "1.1"}, "n2": {"numpy": "2.3", "six": "1.1"}}

    found = problems(examined(node("n1"), node("n2"), here=here, packages=packages))

    assert [one.text for one in found] == ["numpy 2.1 on n1, 2.3 on n2, 1.26 here"]


@pytest.mark.parametrize(
    ("here", "there", "level", "part"),
    [
        ([], "", "warn", "none: who can write to Redis"),
        (["aaaa"], "", "fail", "of n1 does not fit the one here: it has none"),
        ([], "aaaa", "fail", "it has one, and refuses unsigned jobs"),
        (["aaaa"], "bbbb", "fail", "it has another, and refuses jobs from here"),
        (["aaaa", "bbbb"], "bbbb", "fail", "it has another, and refuses jobs from here"),
        (["bbbb"], "aaaa bbbb", "warn", "n1 knows other keys"),
    ],
)
def test_secrets_that_do_not_fit_are_told(here: list[str], there: str, level: str, part: str) -> None:
    [found] = problems(examined(node("n1", secret=there), here=HERE._replace(secret=here)))

    assert (found.level, found.what) == (level, "secret")
    assert part in found.text


@pytest.mark.parametrize(
    ("categories", "keys", "info", "level"),
    [
        (["-@all"], [], {}, ["fail"]),
        (["+@all"], ["~other:*"], {}, ["fail"]),
        (["+@all"], ["~*"], {}, []),
        (["+@all"], ["*"], {"redis_version": "6.2.14"}, []),
        (["-@all"], [], {"aof_enabled": 0}, []),
        (["-@all"], [], {"valkey_version": "9.1.2"}, []),
    ],
)
def test_a_default_user_without_rights_loses_jobs_at_a_restart(
    categories: list[str], keys: list[str], info: dict[str, Any], level: list[str]
) -> None:
    found = restart_findings({"categories": categories, "keys": keys}, {**HEALTHY, **info})
    assert [finding.level for finding in found] == level
