"""Who may see and steer: a secret asks for a token, and no foreign page acts for a reader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.gated import GatedJob
from tests.nodes import REPOSITORY
from tests.web.browser import Visit
from tests.web.conftest import WebCluster


def token_of(cluster: WebCluster, *options: str) -> str:
    """What ``disco-rq web-token`` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "disco_rq.cli", "web-token", *options],
        env=cluster.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def guest(visitor: Callable[..., Visit], guarded: WebCluster) -> Visit:
    """A reader who has not logged in yet."""
    return visitor(guarded.page_root())


def test_the_right_token_lets_in_to_the_page_that_was_asked_for(guest: Visit, guarded: WebCluster) -> None:
    page = guest.open("nodes")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()

    page.get_by_label("Token").fill(token_of(guarded))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Nodes")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert urlsplit(guest.open("nodes").url).path == "/login"


def test_a_wrong_token_is_refused(guest: Visit) -> None:
    page = guest.open()

    page.get_by_label("Token").fill("guessed")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("alert")).to_contain_text("That token is wrong")
    assert urlsplit(guest.open().url).path == "/login"


def test_the_token_for_readers_shows_no_buttons_that_steer(guest: Visit, guarded: WebCluster) -> None:
    job = guarded.disco.new_job("looked_at", ["raw://x"], map=lambda line, params: [])
    page = guest.open("jobs", job.name)

    page.get_by_label("Token").fill(token_of(guarded, "--viewer"))
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("tab", name="Messages")).to_be_visible()
    expect(page.get_by_text("You are logged in as a reader")).to_be_visible()
    assert "data-action" not in page.content()
    assert "data-action" not in guest.open("nodes").content()


def test_a_page_of_somebody_else_cannot_kill_a_job(
    visit: Visit, cluster: WebCluster, gates: Path, tmp_path: Path
) -> None:
    """Neither by a form that a reader is lured to, nor by a script that forgot the token of the page."""
    job = GatedJob(cluster.disco, gates)
    action = f"{visit.root}/api/v1/jobs/{job.job.name.replace('@', '%40')}/kill"
    foreign = tmp_path / "foreign.html"
    foreign.write_text(f'<form method="post" action="{action}"><button>A kitten</button></form>')

    visit.page.goto(foreign.as_uri())
    with visit.page.expect_response(action) as answer:
        visit.page.get_by_role("button", name="A kitten").click()
    assert answer.value.status == 403
    visit.open()
    status = visit.page.evaluate(
        "action => fetch(action, {method: 'POST'}).then(answer => answer.status)", action
    )
    assert status == 403

    assert cluster.disco.results(job.job.name, timeout=0.01)[0] == "active"
    job.open_gate("maps", "reduces")
    job.assert_right()


def test_nothing_inline_may_run(visit: Visit) -> None:
    """The policy holds even where a page had a hole."""
    page = visit.open()
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hacked = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked = true'>");
    }""")

    expect(page.locator("img")).to_have_count(1)
    # not wait_for_function: it evaluates text, which the policy forbids
    expect(page.locator("img")).to_have_js_property("complete", True)

    assert page.evaluate("window.hacked") is False
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)
    visit.complaints.clear()
