"""The maps of a job that run twice, over HTTP and on its page."""

from __future__ import annotations

import random
from typing import Any

import pytest
from playwright.sync_api import expect

from disco_rq import Job, JobError
from tests.redis.story import wait_until
from tests.web.browser import Visit
from tests.web.conftest import WebCluster
from tests.web.visitor import Visitor


def ones(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def by_chance(line: str, params: Any) -> list[tuple[str, float]]:
    return [(line, random.random())]


def checked(cluster: WebCluster, map: Any, **arguments: Any) -> Job:
    inputs = [f"raw://{number}" for number in range(4)]
    return cluster.disco.new_job("checked", inputs, map=map, **{"check": 0.5, **arguments})


@pytest.fixture
def api(cluster: WebCluster) -> Visitor:
    return Visitor(cluster.page_root())


def test_the_api_tells_which_maps_ran_twice_and_that_they_gave_the_same(
    api: Visitor, cluster: WebCluster
) -> None:
    job = checked(cluster, ones)
    job.wait(timeout=30)

    told = api.job(job.name, "checks")

    assert api.job(job.name)["check"] == job.jobinfo()["check"]
    assert (told["total"], told["difference"]) == (2, None)
    assert [one["state"] for one in told["maps"]] == ["same", "same"]
    assert all(one["check"] == one["map"].replace("map", "check") and one["node"] for one in told["maps"])
    job.purge()


def test_a_difference_is_named_with_its_map(api: Visitor, visit: Visit, cluster: WebCluster) -> None:
    job = checked(cluster, by_chance, check=0.25)
    with pytest.raises(JobError):
        job.wait(timeout=30)

    told = api.job(job.name, "checks")

    [one] = told["maps"]
    assert one["state"] == "differs"
    assert told["difference"].startswith(f"{one['map']} is not deterministic: run a second time")
    page = visit.open("jobs", job.name)
    page.locator("#checks summary").click()
    expect(page.locator("#checks li")).to_contain_text(f"{one['map']} differs, on")
    job.purge()


def test_a_job_without_checks_has_none(api: Visitor, visit: Visit, cluster: WebCluster) -> None:
    job = checked(cluster, ones, check=0)
    job.wait(timeout=30)

    assert (api.job(job.name)["check"], api.job(job.name, "checks")["maps"]) == (None, [])
    page = visit.open("jobs", job.name)
    expect(page.locator("#job .badge")).to_have_text("ready")
    expect(page.locator("#checks")).to_be_hidden()
    job.purge()


def test_a_pilot_tells_what_checks_will_cost(api: Visitor, cluster: WebCluster) -> None:
    job, plain = checked(cluster, ones, pilot=2, check=1.0), checked(cluster, ones, pilot=2, check=0)
    wait_until(lambda: job.jobinfo()["paused"] and plain.jobinfo()["paused"])

    told = api.job(job.name, "pilot")

    assert told["check_slot_seconds"]["expected"] >= told["check_seconds"]["expected"] >= 0
    assert api.job(plain.name, "pilot")["check_seconds"] is None
    job.purge()
    plain.purge()
