"""ops/kubernetes: Kubernetes takes it, what it names is there, and what it runs is what we have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from disco_rq.cli.app import cli
from disco_rq.settings import PREFIX, Settings
from disco_rq.web.process import MEMORY_BYTES
from tests.kubernetes import (
    DIRECTORY,
    OVERLAYS,
    Document,
    built,
    container,
    plain,
    plain_documents,
    told_environment,
)
from tests.services import OPS

LATEST: str = kubernetes_validate.latest_version()
VERSIONS = (LATEST, f"1.{int(LATEST.split('.')[1]) - 1}")
OURS = [("Deployment", "disco-master"), ("StatefulSet", "disco-node")]
SERVERS = [*OURS, ("StatefulSet", "redis")]
PODS = [*SERVERS, ("Deployment", "disco-client")]
BUILDS = [
    *((overlay,) for overlay in OVERLAYS),
    *(("production", one) for one in ("keda", "hpa", "own-redis")),
    ("production", "keda", "nodes-without-volumes"),
    ("production", "nodes-without-volumes", "keda"),
    ("production", "nodes-without-volumes", "hpa"),
    ("production", "hpa", "nodes-without-volumes"),
]
"""An overlay, and the components that it is given, in any order."""
COMPONENT = "app.kubernetes.io/component"
OF_OTHERS = ("ScaledObject", "Kustomization", "Component")
"""Kinds that Kubernetes itself does not know."""


def check(document: Document, version: str) -> None:
    if document["kind"] not in OF_OTHERS:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.fixture(scope="module", params=BUILDS, ids="+".join)
def overlay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    return built(tmp_path_factory.mktemp("kustomize"), *request.param)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("where", "document"), plain_documents(), ids=[one for one, _ in plain_documents()])
def test_each_document_is_one_of_kubernetes(where: str, document: Document, version: str) -> None:
    check(document, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_overlay_builds_is_taken_too(overlay: list[Document], version: str) -> None:
    for document in overlay:
        check(document, version)


def test_all_that_an_overlay_refers_to_is_in_it(overlay: list[Document]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in overlay}
    for document in overlay:
        pods: dict[str, Any] = document["spec"].get("template", {}) if "spec" in document else {}
        for volume in pods.get("spec", {}).get("volumes", ()):
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in there
        for one in pods.get("spec", {}).get("containers", ()):
            for source in one.get("envFrom", ()):
                assert ("Secret", source["secretRef"]["name"]) in there
        if document["kind"] == "StatefulSet":
            assert ("Service", document["spec"]["serviceName"]) in there
        target = document.get("spec", {}).get("scaleTargetRef")
        if target:
            assert (target["kind"], target["name"]) in there
        if document["kind"] not in ("Namespace", "ClusterRole"):
            assert document["metadata"]["namespace"]


def test_an_overlay_has_one_namespace_and_a_node_that_can_write_its_data(overlay: list[Document]) -> None:
    assert len({one["metadata"]["namespace"] for one in overlay if one["kind"] != "Namespace"}) == 1
    [node] = [one for one in overlay if one["metadata"]["name"] == "disco-node" and "template" in one["spec"]]
    claimed = {claim["metadata"]["name"] for claim in node["spec"].get("volumeClaimTemplates", ())}
    volumes = claimed | {volume["name"] for volume in node["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container(node)["volumeMounts"]} == volumes


@pytest.mark.parametrize(("kind", "name"), PODS)
def test_a_pod_has_no_rights_that_it_does_not_need(kind: str, name: str) -> None:
    pod = plain(kind, name)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [only] = pod["containers"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} == set(only["resources"])
    assert {"readinessProbe", "livenessProbe"} <= set(only) or (kind, name) not in SERVERS


def test_whoever_is_not_named_gets_nowhere() -> None:
    closed = plain("NetworkPolicy", "disco-closed")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress"]}
    opened = {
        document["metadata"]["name"]: rule["ports"]
        for _, document in plain_documents()
        if document["kind"] == "NetworkPolicy"
        for rule in document["spec"].get("ingress", ())
    }
    assert opened == {
        "disco-redis": [{"port": 6379}],
        "disco-node": [{"port": 8990}],
        "disco-master": [{"port": 8989}],
    }


@pytest.mark.parametrize(("kind", "name"), OURS)
def test_each_setting_is_one_and_each_command_a_verb(kind: str, name: str, tmp_path: Path) -> None:
    document = plain(kind, name)
    told = {key: value for key, value in told_environment(document).items() if key.startswith(PREFIX)}
    known = {PREFIX + field.upper() for field in Settings.__slots__} | {PREFIX + "SECRET_FILE"}
    assert set(told) <= known
    (tmp_path / "secret").write_text("s" * 64)
    told[PREFIX + "SECRET_FILE"] = str(tmp_path / "secret")
    Settings.from_env(told)
    verb, *options = container(document)["args"]
    cli.every()[verb].make_context(verb, list(options))


def test_a_node_is_not_killed_before_its_grace_has_ended_and_its_tasks_fit_its_memory() -> None:
    node = plain("StatefulSet", "disco-node")
    told = told_environment(node)
    settings = Settings.from_env({name: told[name] for name in (PREFIX + "GRACE", PREFIX + "TASK_MEMORY")})
    assert node["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > settings.grace + 15
    limit = int(container(node)["resources"]["limits"]["memory"].removesuffix("Gi")) << 30
    slots = int(container(node)["args"][-1])
    assert settings.task_memory is not None
    assert slots * settings.task_memory + (256 << 20) <= limit


def test_a_master_has_room_for_its_page() -> None:
    limit = container(plain("Deployment", "disco-master"))["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Mi")) << 20 >= MEMORY_BYTES + (256 << 20)


def test_redis_is_run_as_its_conf_says() -> None:
    lines = [line for line in (OPS / "redis.conf").read_text().splitlines() if line and line[0] != "#"]
    conf = {line.split()[0]: line.split(maxsplit=1)[1].strip('"') for line in lines}
    arguments = container(plain("StatefulSet", "redis"))["args"]
    told = dict(zip(map(str, arguments[::2]), arguments[1::2], strict=True))
    for option in ("appendonly", "appendfsync", "save", "maxmemory-policy", "maxmemory", "tcp-keepalive"):
        assert told[f"--{option}"] == conf[option], option


def test_autoscalers_ask_for_a_metric_that_is_told_and_count_the_slots_of_a_node() -> None:
    slots = container(plain("StatefulSet", "disco-node"))["args"][-1]
    [trigger] = plain("ScaledObject", "disco-node")["spec"]["triggers"]
    [metric] = plain("HorizontalPodAutoscaler", "disco-node")["spec"]["metrics"]
    assert "disco_slots_wanted" in trigger["metadata"]["query"]
    assert metric["external"]["metric"]["name"] == "disco_slots_wanted"
    assert trigger["metadata"]["threshold"] == metric["external"]["target"]["averageValue"] == slots


def test_no_answer_of_prometheus_takes_no_nodes_away() -> None:
    [trigger] = plain("ScaledObject", "disco-node")["spec"]["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_an_autoscaler_alone_says_how_many_nodes_there_are_and_asks_for_those_of_its_namespace(
    tmp_path: Path,
) -> None:
    documents = {(one["kind"], one["metadata"]["name"]): one for one in built(tmp_path, "dev", "keda")}
    assert "replicas" not in documents["StatefulSet", "disco-node"]["spec"]
    [trigger] = documents["ScaledObject", "disco-node"]["spec"]["triggers"]
    assert '{namespace="disco-rq-dev",needs=""}' in trigger["metadata"]["query"]


def test_prometheus_scrapes_the_masters_as_the_alerts_and_the_autoscaler_want_it() -> None:
    [job] = yaml.safe_load((DIRECTORY / "prometheus.yml").read_text())["scrape_configs"]
    assert f'up{{job="{job["job_name"]}"}}' in (OPS / "alerts.yml").read_text()
    assert "credentials_file" in job["authorization"]
    [kept, namespace] = job["relabel_configs"]
    assert kept["source_labels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_component"]
    assert (
        kept["regex"]
        == plain("Deployment", "disco-master")["spec"]["template"]["metadata"]["labels"][COMPONENT]
    )
    assert namespace == {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"}


def test_with_a_redis_elsewhere_nothing_of_one_is_left(tmp_path: Path) -> None:
    documents = built(tmp_path, "production", "own-redis")
    names = [one["metadata"]["name"] for one in documents]
    assert not [name for name in names if "redis" in name or "users" in name]


def test_no_password_is_in_the_repository() -> None:
    text = "".join(path.read_text() for path in DIRECTORY.rglob("*.yaml") if "secrets" not in path.parts)
    assert "redis://" not in text
    assert not re.search(r"(?i)password: ", text)
