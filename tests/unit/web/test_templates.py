"""What the templates say whatever the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from disco_rq.web import pages

TEMPLATES = Path(pages.__file__).parent / "templates"


@pytest.mark.parametrize("name", ["overview", "job"])
@pytest.mark.parametrize(("prefix", "program"), [("disco", "rq"), ("team1", "RQ_KEY_PREFIX=team1:rq rq")])
def test_the_program_of_rq_is_named_with_the_prefix_of_its_keys(
    name: str, prefix: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCO_RQ_PREFIX", prefix)
    monkeypatch.delenv("RQ_KEY_PREFIX", raising=False)
    [notice] = [
        line for line in (TEMPLATES / f"{name}.html").read_text().splitlines() if 'id="suspended"' in line
    ]
    environment = pages._templates().env

    shown = environment.from_string(notice).render({name: {"suspended": True}})

    assert f"End that: <code>{program} resume</code>" in shown
