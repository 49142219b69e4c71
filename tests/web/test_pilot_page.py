"""The pilot of a job over HTTP, and on its page."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import expect

from disco_rq import Job
from tests.redis.story import wait_until
from tests.web.browser import Visit
from tests.web.conftest import WebCluster
from tests.web.visitor import Visitor


def slowly(line: str, params: Any) -> list[tuple[str, int]]:
    time.sleep(0.01)
    return [(line, 1)]


def same(pairs: Any, params: Any) -> Any:
    yield from pairs


def piloted(cluster: WebCluster) -> Job:
    inputs = [f"raw://{number}" for number in range(20)]
    return cluster.disco.new_job("piloted", inputs, map=slowly, reduce=same, nr_reduces=2, pilot=4)


@pytest.fixture
def api(cluster: WebCluster) -> Visitor:
    return Visitor(cluster.page_root())


def test_the_api_tells_what_jobinfo_does(api: Visitor, cluster: WebCluster) -> None:
    job = piloted(cluster)
    wait_until(lambda: job.jobinfo()["paused"])

    told = api.job(job.name, "pilot")

    assert told == job.jobinfo()["pilot"]
    assert api.job(job.name)["pilot"] is True
    job.purge()


def test_a_job_without_one_has_no_maps_in_it(api: Visitor, cluster: WebCluster) -> None:
    job = cluster.disco.new_job("plain", ["raw://1"], map=slowly)

    told = api.job(job.name, "pilot")

    assert (told["maps"], told["seconds"], api.job(job.name)["pilot"]) == (0, None, False)
    assert api.get("jobs/nothing/pilot").code == "unknown-job"
    job.purge()


def test_the_page_shows_the_table_and_resume_lets_the_job_go_on(visit: Visit, cluster: WebCluster) -> None:
    job = piloted(cluster)
    page = visit.open("jobs", job.name)

    expect(page.locator("#pilot h2")).to_have_text("After a pilot of 4 maps")
    expect(page.locator("#pilot")).to_contain_text("Time left")
    expect(page.locator("#pilot")).to_contain_text("Memory of the largest task")
    expect(page.locator("#pilot [data-waits]")).to_be_visible()
    page.locator('[data-action="resume"]').click()
    expect(page.locator("#job .badge")).to_have_text("ready")
    expect(page.locator("#pilot [data-waits]")).to_be_hidden()
    expect(page.locator("#pilot")).to_contain_text("Time left")
    job.purge()


def test_a_job_without_one_has_no_such_table(visit: Visit, cluster: WebCluster) -> None:
    job = cluster.disco.new_job("plain", ["raw://1"], map=slowly)
    job.wait(timeout=30)
    page = visit.open("jobs", job.name)

    expect(page.locator("#job .badge")).to_have_text("ready")
    expect(page.locator("#pilot")).to_be_hidden()
    job.purge()
