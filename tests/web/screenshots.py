"""``make screenshots``: the README's pictures, of real jobs on an embedded cluster; what its page weighs."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, expect

from disco_rq import Disco, Job, JobError
from disco_rq.examples import inverted_index, jsonl_stats, wordcount
from disco_rq.examples.demo import source_globs
from tests.web.browser import Visit, started

DIRECTORY = Path(__file__).parents[2] / "ops" / "screenshots"
SLOTS = 4
SIZE = {"width": 1280, "height": 800}
"""Somewhat wider than a README is shown, so that it is sharp."""
DONE_IN_LIST, DONE_ON_PAGE = 0.2, 0.7
"""So many maps of the job that is shown are done on each picture: the one after the other."""
PATIENCE_S = 120.0
VISITS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--to", type=Path, default=DIRECTORY, metavar="FOLDER", help="where they go")
    to: Path = parser.parse_args().to
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("screenshots: chromium is not installed; 'make chromium' does it")
    with (
        tempfile.TemporaryDirectory(prefix="disco-rq-pictures-") as work,
        Disco(workers=SLOTS) as disco,
        started(Path(chromium)) as browser,
    ):
        shown = _jobs(disco, Path(work))
        _pictures(disco, browser, shown, to)
        shown.wait(timeout=PATIENCE_S)
        print(json.dumps(_weight(disco, browser)._asdict()))


def _jobs(disco: Disco, work: Path) -> Job:
    """Some that have ended, one of them badly, and one that is under way, which is returned."""
    library = source_globs(Path(statistics.__file__).parent)
    manual = str(Path(__file__).parents[2] / "disco_rq" / "manual" / "*.md")
    index = {name: getattr(inverted_index, name) for name in ("map", "combiner", "reduce", "sort")}
    disco.new_job("manual_index", [manual], owner="grace", **index).wait(timeout=PATIENCE_S)
    sales = work / "sales.jsonl"
    sales.write_text('{"country": "FI", "price": 12}\n' * 900 + '{"country": "FI", "price": 1' + "\n")
    stats: dict[str, Any] = {
        name: getattr(jsonl_stats, name) for name in ("map_reader", "map", "combiner", "reduce", "sort")
    }
    broken = disco.new_job("sales", [str(sales)], owner="ada", params=jsonl_stats.params, **stats)
    with contextlib.suppress(JobError):
        broken.wait(timeout=PATIENCE_S)
    words: dict[str, Any] = {name: getattr(wordcount, name) for name in ("map_init", "map", "combiner")}
    return disco.new_job(
        "standard_library",
        library * 3,
        owner="ada",
        reduce=wordcount.reduce,
        sort=True,
        nr_reduces=8,
        files_per_task=30,
        **words,
    )


def _pictures(disco: Disco, browser: Browser, job: Job, to: Path) -> None:
    visit = _visit(disco, browser)
    visit.open()
    _until(lambda: _done(job, "mapi") >= DONE_IN_LIST)
    _take(visit.page, to / "overview.png")
    visit.open("jobs", job.name, tab="timeline")
    _until(lambda: _done(job, "mapi") >= DONE_ON_PAGE)
    _take(visit.page, to / "job.png")
    visit.close()
    if visit.complaints:
        sys.exit(f"screenshots: the page complains: {visit.complaints}")


def _visit(disco: Disco, browser: Browser) -> Visit:
    """A reader who is logged in."""
    root, _, login = disco.http_url.partition("/login")
    visit = Visit(browser, root, viewport=SIZE, color_scheme="light", device_scale_factor=1.5)
    visit.page.goto(f"/login{login}")
    return visit


def _take(page: Page, file: Path) -> None:
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.wait_for_timeout(700)  # what came is drawn, and no transition is under way
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file, full_page=True)
    print(f"{file}: {file.stat().st_size >> 10} KiB")


def _done(job: Job, phase: str) -> float:
    waiting, running, done, _ = job.jobinfo()[phase]
    return float(done / max(waiting + running + done, 1))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("screenshots: the job does not come so far")
        time.sleep(0.05)


class Weight(NamedTuple):
    """Of the front page, for a browser that has never been there; the median of some visits."""

    requests: int
    kibibytes: float
    """On the wire, heads and all."""
    drawn_ms: float
    """From the click to a page that is drawn, with its data in it."""
    live_ms: float
    """To the first data of the stream."""


def _weight(disco: Disco, browser: Browser) -> Weight:
    visits = list(_visits(disco, browser))
    return Weight(*(round(statistics.median(one), 1) for one in zip(*visits, strict=True)))


def _visits(disco: Disco, browser: Browser) -> Iterator[Weight]:
    for _ in range(VISITS):
        visit = _visit(disco, browser)
        yield _weighed(visit)
        visit.close()


def _weighed(visit: Visit) -> Weight:
    sizes: list[int] = []
    asked: list[str] = []
    network = visit.context.new_cdp_session(visit.page)
    network.send("Network.enable")
    network.send("Network.setCacheDisabled", {"cacheDisabled": True})
    network.on("Network.requestWillBeSent", lambda told: asked.append(told["request"]["url"]))
    network.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    began = time.monotonic()
    visit.open()
    expect(visit.page.locator("#live")).to_have_attribute("data-state", "live")
    live_ms = (time.monotonic() - began) * 1000
    drawn_ms = visit.page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    visit.page.wait_for_timeout(500)  # an icon comes late
    return Weight(len(asked), sum(sizes) / 1024, drawn_ms, live_ms)


if __name__ == "__main__":
    main()
