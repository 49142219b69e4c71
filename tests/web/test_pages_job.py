"""The page of a job: live, steered, and each of its tabs."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from disco_rq import Job, JobError, Params
from disco_rq.runtime import counter, msg, put, this_partition
from disco_rq.views.pace import LEAST_STEP_MS
from disco_rq.web import pages
from tests.gated import GatedJob
from tests.web.browser import Visit
from tests.web.conftest import WebCluster

TABS = [title for _, title in pages.TABS]


def speaking_map(line: str, params: Any) -> Iterator[tuple[str, int]]:
    msg(f"I read {line}")
    put(f"line:{this_partition()}", {"line": line})
    counter("lines")
    print(f"printed of {line}")
    time.sleep(LEAST_STEP_MS / 1000)  # two maps are two steps: else no chart is drawn
    while not Path(params.gate).exists():
        time.sleep(0.005)
    yield line, len(line)


def counting_reduce(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    yield from sorted(pairs)


def broken_map(line: str, params: Any) -> Iterator[tuple[str, int]]:
    print("the last words of the task")
    yield line, {"good": 1}[line]


def split_slowly(line: str, params: Any) -> list[tuple[str, int]]:
    total = 0
    for i in range(300_000):
        total += i
    return [(part, total) for part in line]


@pytest.fixture(scope="module")
def spoken(cluster: WebCluster, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job that is ready, with a message, an OOB result, a counter and records."""
    gate = tmp_path_factory.mktemp("spoken") / "gate"
    gate.touch()
    job = speaking_job(cluster, gate)
    job.wait(timeout=30)
    return job


def speaking_job(cluster: WebCluster, gate: Path) -> Job:
    return cluster.disco.new_job(
        "speaking",
        ["raw://alpha", "raw://beta"],
        map=speaking_map,
        reduce=counting_reduce,
        nr_reduces=1,
        params=Params(gate=str(gate)),
    )


@pytest.fixture(scope="module")
def broken(cluster: WebCluster) -> Job:
    """A job that is dead of a KeyError."""
    job = cluster.disco.new_job("broken", ["raw://bad"], map=broken_map)
    with pytest.raises(JobError):
        job.wait(timeout=30)
    return job


def test_a_message_and_the_end_appear_while_one_watches(
    visit: Visit, cluster: WebCluster, tmp_path: Path
) -> None:
    job = speaking_job(cluster, tmp_path / "gate")

    page = visit.open("jobs", job.name)

    expect(page.get_by_role("log")).to_contain_text("I read alpha")
    expect(page.locator("#job .badge")).to_have_text("active")
    (tmp_path / "gate").touch()
    expect(page.locator("#job .badge")).to_have_text("ready")
    expect(page.locator('.phase[data-key="map"]')).to_contain_text("2 of 2 done")
    expect(page.get_by_role("log").locator("li", has_text="I read alpha")).to_have_count(1)


def test_messages_are_filtered(visit: Visit, spoken: Job) -> None:
    page = visit.open("jobs", spoken.name)
    shown = page.get_by_role("log").locator("li:visible")
    expect(shown.filter(has_text="I read beta")).to_have_count(1)

    page.get_by_label("Filter messages").fill("ALPHA")
    expect(shown).to_have_count(1)
    page.get_by_label("Filter messages").fill("nothing is like this")
    expect(page.get_by_text("No message is like that")).to_be_visible()
    page.get_by_label("Filter messages").fill("")
    page.get_by_label("only the job's own").check()
    expect(shown).to_have_count(2)


def test_the_value_of_an_oob_result_is_shown_and_can_be_taken_home(visit: Visit, spoken: Job) -> None:
    page = visit.open("jobs", spoken.name, tab="oob")

    page.get_by_label("Search keys").fill("line:1")
    expect(page.locator("#panel-oob tbody tr")).to_have_count(1)
    page.get_by_role("button", name="line:1").click()

    expect(page.locator("#oob-value")).to_contain_text('"line": "beta"')
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "beta" in Path(download.value.path()).read_text()


def test_counters_results_inputs_and_spec_are_shown(visit: Visit, spoken: Job) -> None:
    page = visit.open("jobs", spoken.name)

    page.get_by_role("tab", name="Counters").click()
    expect(page.get_by_role("row", name="lines 2")).to_be_visible()
    page.get_by_role("tab", name="Results").click()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("row", name="'beta' 4")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the result of reduce:0").click()
    assert Path(download.value.path()).read_text() == "alpha\t5\nbeta\t4\n"
    page.get_by_role("tab", name="Inputs").click()
    expect(page.get_by_text("raw://beta")).to_be_visible()
    page.locator("#panel-inputs").get_by_role("button", name="Copy the address").last.click()
    expect(page.get_by_text("Copied")).to_be_visible()
    page.get_by_role("tab", name="Spec").click()
    expect(page.locator("#panel-spec dt", has_text="nr_reduces")).to_be_visible()
    expect(page.locator("#panel-spec pre").first).to_contain_text("def speaking_map(line: str, params: Any)")
    expect(page.locator("#panel-spec dt", has_text="sort_values")).to_be_hidden()
    page.get_by_text("arguments by default").click()
    expect(page.locator("#panel-spec dt", has_text="sort_values")).to_be_visible()


def test_where_the_time_of_the_tasks_went_is_shown(visit: Visit, cluster: WebCluster, spoken: Job) -> None:
    job = cluster.disco.new_job("profiled", ["raw://a"], map=split_slowly, profile=True)
    job.wait(timeout=30)
    page = visit.open("jobs", job.name, tab="profile")

    expect(page.get_by_role("row", name="split_slowly")).to_be_visible()
    expect(page.locator("#panel-profile")).to_contain_text("1 of 1 done tasks")
    expect(page.locator("#panel-profile")).to_contain_text("disco-rq's own, left out, took ")
    assert not page.locator("#panel-profile tbody").get_by_text("mapping.py").count()

    page = visit.open("jobs", spoken.name, tab="profile")
    expect(page.locator("#panel-profile")).to_contain_text("Submit it with profile=True")


def test_tasks_are_sorted_and_drawn_by_slot(visit: Visit, spoken: Job) -> None:
    page = visit.open("jobs", spoken.name, tab="tasks")
    first = page.locator("#panel-tasks tbody tr").first

    expect(first).to_contain_text("map:0")
    page.get_by_role("button", name="Task", exact=True).click()
    expect(first).to_contain_text("map:1")
    expect(page.get_by_role("columnheader", name="Task")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Phase").select_option("reduce")
    expect(first).to_contain_text("reduce:0")
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".timeline .task").first).to_be_visible()
    expect(page.get_by_role("img", name="Tasks done a second")).to_be_visible()
    page.get_by_role("tab", name="Partitions").click()
    expect(page.locator("#panel-partitions tbody tr")).to_have_count(1)


def test_the_cause_of_a_dead_job_comes_first_with_its_traceback(visit: Visit, broken: Job) -> None:
    page = visit.open("jobs", broken.name)

    cause = page.get_by_role("region", name="Why it is dead")
    expect(cause).to_contain_text("KeyError: 'bad'")
    expect(cause.locator("pre")).to_contain_text("broken_map")
    page.get_by_role("tab", name="Failures").click()
    failure = page.locator(".failure")
    expect(failure).to_contain_text("ended the job")
    expect(page.locator(".phase-facts")).to_contain_text("failed attempts")
    expect(failure.locator("pre")).to_contain_text('{"good": 1}[line]')


def test_a_task_shows_its_attempt_with_traceback_and_log(visit: Visit, broken: Job) -> None:
    page = visit.open("jobs", broken.name)
    page.get_by_role("region", name="Why it is dead").get_by_role("link", name="map:0").click()

    attempt = page.locator(".attempt")
    expect(attempt).to_have_count(1)
    expect(attempt).to_contain_text("KeyError")
    expect(attempt).to_contain_text(f"disco-rq replay {broken.name} map:0 --attempt 1 --pdb")
    expect(attempt.locator("[data-log] pre")).to_contain_text("the last words of the task")


def test_a_running_task_shows_its_time_its_entries_and_what_it_prints_while_it_does(
    visit: Visit, cluster: WebCluster, tmp_path: Path
) -> None:
    job = speaking_job(cluster, tmp_path / "gate")
    page = visit.open("jobs", job.name, "tasks", "map:0")

    attempt = page.locator(".attempt")
    expect(attempt.locator(".badge")).to_have_text("running")
    expect(attempt.locator("[data-log] pre")).to_contain_text("printed of alpha")
    expect(attempt.locator('[data-f="entries"]')).to_have_text("0")
    expect(attempt.locator('[data-f="took"]')).to_contain_text(re.compile(r"for [1-9][0-9.]* s"))
    (tmp_path / "gate").touch()
    expect(attempt.locator(".badge")).to_have_text("done")
    expect(attempt.locator("[data-log] pre")).to_have_text("printed of alpha\n")
    job.wait(timeout=30)


def test_a_running_job_is_killed_after_a_question_that_can_be_refused(
    visit: Visit, cluster: WebCluster, gates: Path
) -> None:
    job = GatedJob(cluster.disco, gates).job
    page = visit.open("jobs", job.name)

    page.get_by_role("button", name="Kill").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert cluster.disco.results(job.name, timeout=0.01)[0] == "active"

    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()

    expect(page.locator("#job .badge")).to_have_text("dead")
    expect(page.get_by_role("region", name="Why it is dead")).to_contain_text("it was killed")
    assert cluster.disco.results(job.name)[0] == "dead"
    expect(visit.open().locator(f'tr[data-job="{job.name}"] .died')).to_contain_text("it was killed")
    visit.open("jobs", job.name)
    page.get_by_role("button", name="Purge").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    page.wait_for_url(lambda url: "/jobs/" not in url)
    assert cluster.disco.results(job.name)[0] == "unknown job"


def test_a_job_is_paused_and_goes_on(visit: Visit, cluster: WebCluster, gates: Path) -> None:
    job = GatedJob(cluster.disco, gates, lines=12)
    page = visit.open("jobs", job.job.name)

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#job .badge")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#job .badge")).to_have_text("active")
    job.open_gate("maps", "reduces")
    job.assert_right()


def test_tabs_are_moved_through_by_arrow_keys(visit: Visit, spoken: Job) -> None:
    page = visit.open("jobs", spoken.name)
    selected = page.locator('[role="tab"][aria-selected="true"]')
    expect(selected).to_have_text("Messages")
    expect(selected).to_have_attribute("tabindex", "0")  # now keys are listened to
    page.get_by_role("tab", name="Messages").focus()

    for key, name in (
        ("ArrowRight", "Tasks"),
        ("End", "Spec"),
        ("ArrowRight", "Messages"),
        ("ArrowLeft", "Spec"),
    ):
        page.keyboard.press(key)
        expect(selected).to_contain_text(name)
        expect(selected).to_be_focused()
        expect(page.get_by_role("tabpanel")).to_have_count(1)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "panel-messages"
    assert [tab.split()[0] for tab in page.get_by_role("tab").all_inner_texts()] == TABS


def test_a_page_goes_on_where_it_was_when_the_master_comes_back(
    visitor: Callable[..., Visit], tmp_path: Path
) -> None:
    with WebCluster(port=free_port()) as cluster:
        master = cluster.master()
        cluster.node("only", slots=2)
        cluster.wait_ready()
        visit = visitor(cluster.page_root())
        job = speaking_job(cluster, tmp_path / "gate")
        page = visit.open("jobs", job.name)
        expect(page.get_by_role("log")).to_contain_text("I read beta")

        master.kill()
        expect(page.locator("#live")).to_have_attribute("data-state", "lost")
        expect(page.locator("#stale")).to_contain_text("This page is as of ")
        expect(page.locator("html")).to_have_attribute("data-stale", "")
        master.start()

        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        expect(page.locator("#stale")).to_be_hidden()
        page.get_by_role("button", name="Pause").click()  # with a token that this master has not given out
        expect(page.locator("#job .badge")).to_have_text("paused")
        expect(page.get_by_role("log").locator("li", has_text="I read beta")).to_have_count(1)
        visit.complaints.clear()  # of connections that were refused


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
