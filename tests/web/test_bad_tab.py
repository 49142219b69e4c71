"""The bad entries of a job over HTTP, and on its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from disco_rq import Disco, Job
from disco_rq.runtime import skip_entry
from disco_rq.web.pages import TABS
from tests.web.browser import Visit
from tests.web.conftest import WebCluster
from tests.web.visitor import Visitor

ATTACK = "<img src=x onerror=\"document.title='gotcha'\">"


def numbers(line: str, params: Any) -> list[tuple[int, int]]:
    if line.startswith("<"):
        skip_entry(line * 200, ATTACK)
    return [(int(line), 1)]


@pytest.fixture(scope="module")
def cleaned(cluster: WebCluster) -> Job:
    """A job that has left out eight entries of two maps."""
    job = cluster.disco.new_job(
        "cleaned", [f"raw://1\nx\ny\n{ATTACK}\nz", "raw://x\n2\n\ny\nz"], map=numbers, max_bad=8
    )
    job.wait(timeout=30)
    return job


@pytest.fixture
def api(cluster: WebCluster) -> Visitor:
    return Visitor(cluster.page_root())


def test_they_come_by_page_in_the_order_of_tasks(api: Visitor, cleaned: Job) -> None:
    assert api.job(cleaned.name)["bad"] == 8

    page = api.job(cleaned.name, "bad", offset=2, limit=3)

    assert (page["total"], page["offset"], page["limit"], page["error"]) == (8, 2, 3, None)
    skipped, last, first = page["entries"]
    assert (skipped["task"], skipped["number"], skipped["error"]) == ("map:0", 4, ATTACK)
    assert (len(skipped["entry"]), skipped["truncated"]) == (4000, True)
    assert (last["task"], last["entry"], last["offset"]) == ("map:0", "z", 7 + len(ATTACK))
    assert (first["task"], first["entry"], first["number"]) == ("map:1", "x", 1)
    assert first["error"] == "ValueError: invalid literal for int() with base 10: 'x'"
    assert "in numbers" in first["traceback"]
    assert api.job(cleaned.name, "bad", offset=8)["entries"] == []


def test_of_an_unknown_job_nothing_is_told(api: Visitor) -> None:
    answer = api.get("jobs/nothing/bad")

    assert (answer.status, answer.code) == (404, "unknown-job")


def test_the_tab_counts_lists_and_shows_them(visit: Visit, cleaned: Job) -> None:
    page = visit.open("jobs", cleaned.name, tab="bad")

    expect(page.locator("#panel-bad tbody tr")).to_have_count(8)
    expect(page.locator('[data-n="bad"]')).to_have_text("8")
    page.locator("#panel-bad tbody").get_by_role("button", name=ATTACK).click()
    expect(page.locator("#bad-entry")).to_contain_text(ATTACK)
    expect(page.locator("#panel-bad")).to_contain_text("Only its beginning is shown.")
    page.locator("#panel-bad tbody").get_by_role("button", name="'y'").first.click()
    expect(page.locator("#bad-entry")).to_have_text("y")
    expect(page.locator("#panel-bad")).to_contain_text("Traceback (most recent call last)")
    assert "gotcha" not in page.title()


def test_a_job_without_any_says_so(visit: Visit, cluster: WebCluster) -> None:
    job = cluster.disco.new_job("clean", ["raw://1"], map=numbers)
    job.wait(timeout=30)

    page = visit.open("jobs", job.name, tab="bad")

    expect(page.locator("#panel-bad")).to_contain_text("No entry was left out")
    assert ("bad", "Bad") in TABS


def test_what_cannot_be_read_is_said_on_the_page(visit: Visit, cluster: WebCluster) -> None:
    job = cluster.disco.new_job("gone", ["raw://x", "raw://y"], map=numbers, max_bad=2)
    job.wait(timeout=30)
    _file_of(cluster.disco, job).unlink()

    page = visit.open("jobs", job.name, tab="bad")

    expect(page.locator("#panel-bad [role=status]")).to_contain_text("not all bad entries can be read")
    expect(page.locator("#panel-bad tbody tr")).to_have_count(1)


def _file_of(disco: Disco, job: Job) -> Any:
    locate: Callable[[str], Any] = disco.session.locator.path
    path = locate(job.wait()[0])
    return path.with_name(f"{path.name}.bad")
