"""A job that no node can run is refused where it is submitted, and all that is wrong is told at once."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import pytest

from disco_rq.client.fitness import LANGUAGE, FitnessCheck
from disco_rq.errors import UnfitNodes
from disco_rq.model import Functions
from disco_rq.packing import JobSeal, pack_functions
from disco_rq.packing.required import Required
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeAdmin, NodeStore
from disco_rq.version import PROTOCOL

NOTHING = Required()
OTHER = f"3.{sys.version_info[1] + 1}"


def node(
    connection: Connection,
    name: str,
    *,
    python: str = f"{LANGUAGE}.1",
    protocol: int = PROTOCOL,
    packages: dict[str, str] | None = None,
) -> NodeStore:
    """A node that is alive."""
    store = NodeStore(connection, name)
    store.register({"python": python, "version": "0.1.0", "protocol": str(protocol)})
    if packages is not None:
        store.tell_packages(packages)
    seconds, _ = connection.redis.time()
    connection.redis.zadd(keys.SLOTS, {f"{name} {name}.0": (int(seconds) + 60) * 1000})
    return store


def refusal(connection: Connection, *modules: str) -> str:
    with pytest.raises(UnfitNodes) as error:
        FitnessCheck(connection).check(modules)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_nodes_a_job_may_wait_for_some(connection: Connection) -> None:
    FitnessCheck(connection).check(["msgpack"])


def test_another_python_everywhere_is_refused_by_name(connection: Connection) -> None:
    node(connection, "n1", python=f"{OTHER}.4")
    node(connection, "n2", python=f"{OTHER}.4")

    assert f"n1, n2 has Python {OTHER}.4, here is {LANGUAGE}." in refusal(connection)


def test_one_node_of_the_same_python_is_enough(connection: Connection) -> None:
    node(connection, "n1", python=f"{OTHER}.4")
    node(connection, "n2", packages={"msgpack": version("msgpack")})

    FitnessCheck(connection).check(["msgpack"])


def test_another_protocol_everywhere_is_refused(connection: Connection) -> None:
    node(connection, "n1", protocol=99)

    assert "n1 has disco-rq 0.1.0 (protocol 99), here is" in refusal(connection)


def test_a_package_that_one_node_misses_is_refused(connection: Connection) -> None:
    node(connection, "n1", packages={"msgpack": version("msgpack")})
    node(connection, "n2", packages={"six": "1.16"})

    assert f"n2 has no msgpack, here is {version('msgpack')}" in refusal(connection, "msgpack")


def test_a_package_of_another_major_version_is_refused_and_of_the_same_is_not(connection: Connection) -> None:
    major = version("msgpack").partition(".")[0]
    node(connection, "n1", packages={"msgpack": f"{major}.999"})
    FitnessCheck(connection).check(["msgpack"])
    node(connection, "n2", packages={"msgpack": "99.1"})

    assert "n2 has msgpack 99.1, here is" in refusal(connection, "msgpack")


def test_a_module_whose_distribution_has_another_name_is_found(connection: Connection) -> None:
    node(connection, "n1", packages={"_pytest": "", "pytest": version("pytest")})
    FitnessCheck(connection).check(["_pytest"])
    node(connection, "n2", packages={"_pytest": "", "another-pytest": "1"})
    FitnessCheck(connection).check(["_pytest"])
    node(connection, "n3", packages={})

    # one that has told of no package at all has not told yet
    FitnessCheck(connection).check(["_pytest"])


def test_all_mismatches_are_told_at_once(connection: Connection) -> None:
    node(connection, "n1", packages={"msgpack": "99.1"})
    node(connection, "n2", packages={"msgpack": version("msgpack")})

    told = refusal(connection, "msgpack", "jinja2")

    assert "n1, n2 has no jinja2" in told
    assert "n1 has msgpack 99.1" in told


def test_what_nodes_of_another_python_lack_besides_is_told_with_it(connection: Connection) -> None:
    node(connection, "n1", python=f"{OTHER}.4", packages={"six": "1"})

    told = refusal(connection, "msgpack")

    assert f"n1 has Python {OTHER}.4" in told
    assert "n1 has no msgpack" in told


def test_a_node_that_takes_no_tasks_is_not_asked(connection: Connection) -> None:
    admin = NodeAdmin(connection)
    for name in ("blacklisted", "draining", "leaving"):
        node(connection, name, packages={"six": "1"})
    admin.close("blacklisted", drain=False)
    admin.close("draining", drain=True)
    NodeStore(connection, "leaving").close("leave", "it is leaving")
    full = node(connection, "full", packages={"msgpack": version("msgpack")})
    full.close("disk", "it is full")  # and comes back

    FitnessCheck(connection).check(["msgpack"])
    full.tell_packages({"six": "1"})
    assert "full has no msgpack" in refusal(connection, "msgpack")


def test_a_dead_node_is_not_asked(connection: Connection) -> None:
    node(connection, "n1", python=f"{OTHER}.4")
    connection.redis.zadd(keys.SLOTS, {"n1 n1.0": 1})

    FitnessCheck(connection).check([])


def test_the_second_look_asks_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    node(connection, "n1", packages={"msgpack": version("msgpack")})
    asked: list[int] = []
    pipeline = connection.redis.pipeline

    def counting(*arguments: Any, **options: Any) -> Any:
        asked.append(1)
        return pipeline(*arguments, **options)

    monkeypatch.setattr(connection.redis, "pipeline", counting)
    check = FitnessCheck(connection)

    check.check(["msgpack"])
    check.check(["msgpack"])

    assert len(asked) == 3  # the first time it did not know whom to ask


def modules_of(function: Any, params: Any = None, required: Required = NOTHING) -> set[str]:
    return set(pack_functions(Functions(map=function), params, JobSeal("j", None), required=required).modules)


def test_a_pack_knows_the_packages_that_its_functions_name() -> None:
    import json

    import jinja2
    import msgpack
    from click import echo

    def uses_them(line: str, params: Any) -> Any:
        echo(json.dumps(jinja2.__version__))
        yield msgpack.packb(line), 1

    def uses_none(line: str, params: Any) -> Any:
        yield line, len(params)

    assert modules_of(uses_them) == {"jinja2", "msgpack", "click"}
    assert modules_of(uses_none) == set()
    assert modules_of(uses_none, params={"template": jinja2.Template}) == {"jinja2"}
    assert modules_of(uses_none, required=Required(modules=("numpy", "json"))) == {"numpy"}
