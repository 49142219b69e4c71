"""The overview: nodes with their squares, and the jobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from rq.suspension import resume, suspend

from disco_rq.store.nodes import NodeStore
from tests.gated import GatedJob
from tests.web.browser import Visit
from tests.web.conftest import WebCluster

LIT = re.compile(r"\blit\b")

SEEN = """seen => {
    Object.defineProperty(document, "hidden", {value: !seen, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def row_of(page: Page, name: str) -> Any:
    return page.locator(f'tr[data-job="{name}"]')


def test_a_job_is_seen_to_run_and_end_without_loading_the_page_again(
    visit: Visit, cluster: WebCluster, gates: Path
) -> None:
    page = visit.open()
    expect(page.locator(".node")).to_have_count(2)

    job = GatedJob(cluster.disco, gates)
    name = job.job.name
    row = row_of(page, name)

    expect(row.locator(".badge")).to_have_text("active")
    expect(row.locator(".bar")).to_have_count(2)
    expect(page.locator(f'.slot[data-job="{name}"][data-phase="map"]').first).to_have_text("M")
    job.open_gate("maps")
    expect(page.locator(f'.slot[data-job="{name}"][data-phase="reduce"]').first).to_have_text("R")
    job.open_gate("reduces")
    job.assert_right()
    expect(row.locator(".badge")).to_have_text("ready")
    expect(row.locator('[data-f="percent"]')).to_have_text("100 %")
    expect(page.locator(f'.slot[data-job="{name}"]')).to_have_count(0)


def test_hovering_a_job_or_giving_it_the_focus_lights_its_squares(
    visit: Visit, cluster: WebCluster, gates: Path
) -> None:
    job = GatedJob(cluster.disco, gates)
    name = job.job.name
    page = visit.open()
    squares = page.locator(f'.slot[data-job="{name}"]')
    expect(squares.first).to_be_visible()

    row_of(page, name).hover()
    expect(squares.first).to_have_class(LIT)
    page.locator("#jobs-title").hover()
    expect(squares.first).not_to_have_class(LIT)
    row_of(page, name).locator("a").focus()
    expect(squares.first).to_have_class(LIT)
    page.get_by_role("searchbox").focus()
    expect(squares.first).not_to_have_class(LIT)

    squares.first.hover()
    expect(row_of(page, name)).to_have_class(LIT)
    job.open_gate("maps", "reduces")
    job.assert_right()


def test_the_first_paint_has_the_data_already(
    visitor: Callable[..., Visit], cluster: WebCluster, gates: Path
) -> None:
    job = GatedJob(cluster.disco, gates)
    job.open_gate("maps", "reduces")
    job.assert_right()

    page = visitor(cluster.page_root(), java_script_enabled=False).open()

    assert page.locator(".node h3").all_inner_texts() == ["north", "south"]
    expect(row_of(page, job.job.name)).to_contain_text("ready")
    expect(row_of(page, job.job.name)).to_contain_text("100 %")


def test_the_search_finds_jobs_and_says_what_to_do_where_there_is_none(
    visit: Visit, cluster: WebCluster
) -> None:
    name = cluster.disco.new_job("needle", [], map=lambda line, params: []).name
    cluster.disco.new_job("hay", [], map=lambda line, params: [])
    page = visit.open()

    page.get_by_role("searchbox").fill("needle")

    expect(page.locator("#jobs tr")).to_have_count(1)
    expect(row_of(page, name)).to_be_visible()
    page.get_by_role("searchbox").fill("no job is called so")
    expect(page.locator("#no-jobs")).to_contain_text("Search for a part of its name")
    page.get_by_role("searchbox").fill("")
    expect(row_of(page, name)).to_be_visible()


def test_a_page_that_nobody_sees_lets_its_connection_go_until_it_is_seen_again(visit: Visit) -> None:
    visit.page.clock.install()
    page = visit.open()
    state = page.locator("#live")
    expect(state).to_have_attribute("data-state", "live")

    page.evaluate(SEEN, False)
    page.clock.fast_forward(59_000)  # in which it hears nothing
    expect(state).not_to_have_attribute("data-state", "resting")
    page.clock.fast_forward(2_000)

    expect(state).to_have_attribute("data-state", "resting")
    page.evaluate(SEEN, True)
    expect(state).to_have_attribute("data-state", "live")


def test_a_suspended_rq_is_told_on_every_page_until_it_ends(
    visit: Visit, cluster: WebCluster, gates: Path
) -> None:
    told = "RQ is suspended on this Redis"
    job = GatedJob(cluster.disco, gates)
    page = visit.open()
    expect(page.locator("#suspended")).to_be_hidden()
    suspend(cluster.connection.redis)
    try:
        expect(page.locator("#suspended")).to_contain_text(told)
        expect(page.locator(".node").filter(has_text=told)).to_have_count(2)
        page = visit.open("jobs", job.job.name)
        expect(page.locator("#suspended")).to_contain_text("rq resume")
        expect(page.locator("#messages")).to_contain_text(told)
        page = visit.open("nodes")
        expect(page.locator(".node-detail").filter(has_text=told)).to_have_count(2)
        page = visit.open("jobs", job.job.name)
    finally:
        resume(cluster.connection.redis)

    expect(page.locator("#suspended")).to_be_hidden()
    expect(page.locator("#messages")).to_contain_text("RQ is not suspended any more")
    job.open_gate("maps", "reduces")
    job.assert_right()


def test_a_node_is_blacklisted_after_a_question_and_gets_tasks_again(visit: Visit) -> None:
    page = visit.open("nodes")
    south = page.locator(".node-detail").filter(has_text="south")
    expect(south.locator(".badge")).to_have_text("alive")

    south.get_by_role("button", name="Blacklist").click()
    page.get_by_role("dialog").get_by_role("button", name="Blacklist").click()

    expect(south.locator(".badge")).to_have_text("blacklisted")
    south.get_by_role("button", name="Give it tasks again").click()
    expect(south.locator(".badge")).to_have_text("alive")
    south.get_by_role("button", name="Drain").click()
    expect(south.locator(".badge")).to_have_text(re.compile("drain"))
    south.get_by_role("button", name="Give it tasks again").click()
    expect(south.locator(".badge")).to_have_text("alive")


def test_a_node_that_is_gone_for_good_is_forgotten(visit: Visit, cluster: WebCluster) -> None:
    NodeStore(cluster.connection, "west").register({"host": "h"})
    page = visit.open("nodes")
    nodes = page.locator(".node-detail")
    expect(nodes).to_have_count(3)
    expect(nodes.get_by_role("button", name="Forget")).to_have_count(1)
    expect(page.locator("#charts .chart")).to_have_count(2)
    expect(nodes.first.get_by_role("img", name="CPU load")).to_be_visible()

    nodes.filter(has_text="west").get_by_role("button", name="Forget").click()

    expect(nodes).to_have_count(2)
