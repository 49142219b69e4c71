"""A job in the cell of a notebook: what is shown of it, and that none of it is taken for HTML."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from disco_rq.client.notebook import in_notebook, record_html
from disco_rq.client.results import Results
from disco_rq.outputs.locator import Locator
from disco_rq.store.jobs import JobRecord

NOWHERE = Locator(lambda _: {})
HOSTILE = "<script>alert(1)</script>"


def dead(**cause: object) -> JobRecord:
    return JobRecord("dead", {"map:done": "1", "map:failed": "1", "cause": json.dumps(cause)})


def test_an_active_job_has_a_bar_for_each_phase_that_it_has() -> None:
    fields = {"map:waiting": "5", "map:running": "2", "map:done": "3", "map:failed": "1"}

    html = record_html("words@1", JobRecord("active", fields), ["Job submitted"])

    assert html.count("<progress") == 1
    assert 'value="3" max="10"' in html
    assert "3/10, 2 running, 1 failed" in html
    assert "Job submitted" in html


def test_a_job_that_waits_after_its_pilot_is_paused() -> None:
    assert "paused" in record_html("words@1", JobRecord("active", {"paused": "1"}), [])


def test_a_dead_job_has_its_cause_and_the_traceback() -> None:
    record = dead(
        message="ValueError: no", task="map:1", attempt=2, node="n1", traceback="line 7 of the cell"
    )

    html = record_html("words@1", record, [])

    assert "map:1, attempt 2 on n1: ValueError: no" in html
    assert "<pre>line 7 of the cell</pre>" in html


def test_whatever_a_job_says_is_text() -> None:
    record = dead(message=HOSTILE, task="map:1", attempt=2, node=HOSTILE, traceback=HOSTILE)

    html = record_html(HOSTILE, record, [HOSTILE], f'http://x/"{HOSTILE}')

    assert "<script" not in html
    assert 'x/"' not in html


def test_results_show_how_many_there_are_and_the_first() -> None:
    addresses = [f"disco://n1/{number}" for number in range(12)]

    html = Results(["s3://key:secret@bucket/<b>", *addresses], NOWHERE)._repr_html_()

    assert html.startswith("<div>13 results")
    assert "and 3 more" in html
    assert "secret" not in html
    assert "<b>" not in html
    assert Results(addresses[:1], NOWHERE)._repr_html_().startswith("<div>1 result;")


def test_only_a_kernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_one(shell: object) -> bool:
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        return in_notebook()

    assert is_one(SimpleNamespace(kernel=object()))
    assert not is_one(SimpleNamespace())
    assert not is_one(None)
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()
