"""The API on a cluster that really runs."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from disco_rq import Disco, result_iterator
from disco_rq.client.embedded import EmbeddedCluster
from disco_rq.errors import SettingsError
from disco_rq.runtime import data_err, this_master
from disco_rq.store import keys
from disco_rq.web.access import token
from tests.cluster.conftest import processes_of, wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster
from tests.web.visitor import Visitor, served


@pytest.fixture(scope="module")
def disco() -> Iterator[Disco]:
    """An embedded cluster."""
    with Disco(workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def page(disco: Disco) -> Visitor:
    return program_of(disco.http_url)


def program_of(link: str) -> Visitor:
    """Has the token of an embedded cluster's link."""
    return Visitor(link, Authorization=f"Bearer {link.partition('token=')[2]}")


def fails_once(entry: str, params: Any) -> list[tuple[str, str]]:
    print("looking at", entry)
    if not params.exists():
        params.touch()
        data_err(f"not yet: {entry}")
    return [(entry, this_master())]


def raises(entry: str, params: Any) -> None:
    raise KeyError(entry)


def metrics(page: Visitor) -> dict[str, float]:
    """Name and labels of each sample -> its value."""
    families = text_string_to_metric_families(page.get("/metrics").body.decode())
    samples = [sample for family in families for sample in family.samples]
    return {f"{sample.name} {' '.join(sample.labels.values())}".strip(): sample.value for sample in samples}


def test_the_embedded_cluster_tells_where_its_page_is(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "tried").touch()
    job = disco.new_job("where", ["raw://a"], map=fails_once, params=tmp_path / "tried")

    [(_, told)] = result_iterator(job.wait())

    page = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/login\?token=[0-9a-f]{32}", disco.http_url)
    assert page is not None
    assert f"http://{told}" == page[1] == Disco(disco.url).http_url


def test_who_has_not_the_link_of_an_embedded_cluster_gets_no_further(disco: Disco, page: Visitor) -> None:
    other = Visitor(disco.http_url)

    assert other.get("overview").code == "login"
    assert other.get("/").headers["Location"].startswith("/login?next=")
    assert other.ask("POST", "/api/v1/jobs/x/kill").code == "login"
    wrong = other.get("/login", token="0" * 32)
    assert wrong.headers["Location"].startswith("/login?failed=1")
    assert "Set-Cookie" not in wrong.headers
    form = other.get(wrong.headers["Location"]).body
    assert b"That token is wrong" in form
    assert b"Disco.http_url" in form


def test_the_link_logs_in_and_leads_to_an_address_without_the_token(disco: Disco) -> None:
    target = disco.http_url.removeprefix(f"http://{Visitor(disco.http_url).address}")

    answer = Visitor(disco.http_url).get(target)

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    reader = Visitor(disco.http_url, Cookie=cookie.partition(";")[0])
    assert reader.get("/").status == 200
    assert reader.get("session").json["role"] == "admin"


def test_no_process_tells_the_token_of_the_link(disco: Disco) -> None:
    told = disco.http_url.partition("token=")[2]
    processes = processes_of(disco)

    assert len(processes) > 2
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a worker's idle process is replaced by another at any time
            assert told not in " ".join(process.cmdline())
            assert told not in process.environ().values()


def test_the_embedded_page_is_served_where_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("DISCO_RQ_HTTP", address)

    with Disco(workers=1) as told:
        assert told.http_url.startswith(f"http://{address}/login?token=")
        assert program_of(told.http_url).get("overview").status == 200


def test_with_a_secret_the_embedded_page_asks_for_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_SECRET", "a secret of the tests")

    with Disco(workers=1) as guarded:
        page = Visitor(guarded.http_url)
        assert "token" not in guarded.http_url
        assert page.get("overview").code == "login"
        given = token(b"a secret of the tests", "viewer")
        assert page.get("overview", {"Authorization": f"Bearer {given}"}).status == 200


def test_the_page_of_up_is_open_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_HTTP", "127.0.0.1:0")

    with EmbeddedCluster(1, has_open_page=True) as cluster:
        assert Visitor(cluster.http_url).get("overview").status == 200


def test_a_job_that_ran_is_told_whole(disco: Disco, page: Visitor, tmp_path: Path) -> None:
    job = disco.new_job("told", ["raw://a"], map=fails_once, params=tmp_path / "tried")
    job.wait()

    told = page.job(job.name)
    assert (told["state"], told["progress"], told["nodes"]) == ("ready", 1.0, ["localhost"])
    assert told["phases"][0]["failed"] == 1
    failed, done = page.job(job.name, "tasks/map:0")["attempts"]
    assert (failed["outcome"], done["outcome"]) == ("data", "done")
    assert "data_err(f" in failed["traceback"]
    assert "looking at a" in page.job(job.name, "tasks/map:0/log", attempt=1)["text"]
    [result] = page.job(job.name, "results")["results"]
    assert result["records"] == 1
    preview = page.job(job.name, "results/0/preview")
    assert (preview["records"][0]["key"], preview["more"], preview["error"]) == ("'a'", False, None)
    assert page.job(job.name, "spec")["spec"]["name"] == job.name
    assert page.job(job.name, "failures")["groups"][0]["cause"] == "DataError: not yet: a"


def waits_twice(entry: str, gates: Path) -> list[tuple[str, int]]:
    while entry in ("5", "35") and not (gates / entry).exists():
        time.sleep(0.005)
    return [(entry, 1)]


def test_the_entries_of_a_running_task_are_counted_while_it_runs(
    disco: Disco, page: Visitor, tmp_path: Path
) -> None:
    lines = "\n".join(map(str, range(1, 41)))
    job = disco.new_job("counting", [f"raw://{lines}"], map=waits_twice, params=tmp_path)

    def counted_beyond(before: int) -> int | None:
        told = page.job(job.name, "tasks/map:0/log")["entries"]
        return told if told is not None and told > before else None

    first = wait_until(lambda: counted_beyond(0))
    assert first < 5
    (tmp_path / "5").touch()
    second = wait_until(lambda: counted_beyond(first))
    assert first < second < 35
    (tmp_path / "35").touch()
    job.wait(timeout=30)
    [attempt] = page.job(job.name, "tasks/map:0")["attempts"]
    assert attempt["entries"] == 40
    assert page.job(job.name, "tasks/map:0/log")["entries"] is None


def spin(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(entry, sum(slow_number(i) for i in range(200)))]


def slow_number(i: int) -> int:
    return sum(range(i))


def test_a_profile_tells_where_the_time_went(disco: Disco, page: Visitor) -> None:
    job = disco.new_job("profiled", ["raw://a", "raw://b"], map=spin, profile=True)
    job.wait()

    told = page.job(job.name, "profile", phase="map", sort="calls")

    assert (told["profiled"], told["tasks"], told["done"]) == (True, 2, 2)
    [slow] = [one for one in told["functions"] if one["function"] == "slow_number"]
    assert (slow["calls"], slow["file"].endswith("test_api_cluster.py")) == (400, True)
    calls = [one["calls"] for one in told["functions"]]
    assert calls == sorted(calls, reverse=True)
    assert page.job(job.name, "profile", phase="reduce")["functions"] == []


def test_a_job_without_a_profile_says_so(disco: Disco, page: Visitor) -> None:
    job = disco.new_job("plain", ["raw://a"], map=spin)
    job.wait()

    told = page.job(job.name, "profile")
    assert (told["profiled"], told["tasks"], told["done"], told["functions"]) == (False, 0, 0, [])


def test_a_purged_result_says_why_it_cannot_be_shown(disco: Disco, page: Visitor, tmp_path: Path) -> None:
    (tmp_path / "tried").touch()
    job = disco.new_job("gone", ["raw://a"], map=fails_once, params=tmp_path / "tried")
    [address] = job.wait()
    path = disco.session.locator.path(address)
    assert path is not None
    path.unlink()

    preview = page.job(job.name, "results/0/preview")

    assert (preview["records"], preview["more"]) == ([], False)
    assert "gone" in preview["error"]


def test_the_record_at_fault_is_told_with_the_failure(disco: Disco, page: Visitor, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("one\ntwo\n")
    job = disco.new_job("fault", [str(tmp_path / "lines")], map=raises)
    wait_until(lambda: page.job(job.name)["state"] == "dead")

    [group] = page.job(job.name, "failures")["groups"]

    assert (group["cause"], group["fatal"]) == ("KeyError: 'one'", True)
    assert "entry 1 of" in group["example"]["message"]
    assert "raise KeyError(entry)" in group["example"]["traceback"]


def test_a_running_job_is_killed_and_purged(disco: Disco, page: Visitor, tmp_path: Path) -> None:
    gated = GatedJob(disco, tmp_path)
    wait_until(lambda: page.get("overview").json["totals"]["busy"] == 2)
    slots = page.get("overview").json["nodes"][0]["slots"]
    assert {slot["job"] for slot in slots} == {gated.job.name}
    path = f"jobs/{quote(gated.job.name)}"

    assert page.act(f"{path}/kill").json == {"ok": True}
    assert page.job(gated.job.name)["state"] == "dead"
    wait_until(lambda: page.get("overview").json["totals"]["busy"] == 0)
    assert page.act(f"{path}/purge").json == {"ok": True}
    assert page.get(path).code == "unknown-job"


def test_the_metrics_count_what_ran(disco: Disco, page: Visitor, tmp_path: Path) -> None:
    before = metrics(page)
    (tmp_path / "tried").touch()
    job = disco.new_job("counted", ["raw://a", "raw://b"], map=fails_once, params=tmp_path / "tried")
    job.wait()

    after = metrics(page)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("disco_attempts_total localhost done") == 2
    assert grown("disco_output_records_total localhost") == 2
    assert grown("disco_task_duration_seconds_count localhost") == 2
    assert grown("disco_task_duration_seconds_bucket +Inf localhost") == 2
    assert after["disco_node_slots localhost"] == 2
    assert (after["disco_leader"], after["disco_jobs_active"]) == (1, 0)
    assert 0 < after["disco_redis_round_trip_seconds"] < 1


def test_a_node_tells_its_memory_and_disk(page: Visitor) -> None:
    [node] = page.get("nodes").json["nodes"]

    assert 0 < node["memory_free"] <= node["memory_total"]
    assert 0 < node["disk_free"] <= node["disk_total"]
    assert node["load"] >= 0


def test_without_a_leader_the_cluster_is_not_well(nodes: NodeCluster) -> None:
    nodes.master()
    address = wait_until(lambda: nodes.disco.http_url)
    assert Visitor(address).get("/healthz").json == {"status": "ok"}

    with served(nodes.url) as other:
        nodes.masters[0].kill()
        nodes.connection.redis.delete(keys.LEADER)
        answer = Visitor(other).get("/healthz")

    assert (answer.status, answer.json) == (503, {"status": "no master leads"})


def test_a_page_outlives_the_master_that_served_it(nodes: NodeCluster) -> None:
    # given a master with the address, and another that waits for it
    first = nodes.master()
    address = wait_until(lambda: nodes.disco.http_url)
    nodes.environment["DISCO_RQ_HTTP"] = address.removeprefix("http://")
    second = nodes.master()
    wait_until(lambda: "is taken" in second.said)
    assert Visitor(address).get("overview").json["leads"] is True

    # when
    first.kill()

    # then
    def answers() -> bool:
        try:
            return Visitor(address).get("overview").status == 200
        except OSError:
            return False

    wait_until(answers)
    wait_until(lambda: Visitor(address).get("overview").json["leads"])
    assert nodes.disco.http_url == address


def test_no_page_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_HTTP", "off")

    with Disco(workers=1) as quiet:
        assert quiet.http_url == ""


def test_a_master_refuses_to_be_open_to_all(nodes: NodeCluster) -> None:
    nodes.environment["DISCO_RQ_HTTP"] = "0.0.0.0:0"

    master = nodes.master()

    assert master.wait() == 1
    assert "without DISCO_RQ_SECRET" in master.last_words
    assert SettingsError.__name__ not in master.said
