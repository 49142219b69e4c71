"""The manual: every page has a topic, a topic is found though it is misspelt, and so are words."""

from __future__ import annotations

import pytest

import disco_rq
from disco_rq import errors, func, runtime
from disco_rq.manual import GROUPS, nearest, page, search, topics
from tests.documents import PAGES


def test_every_page_that_lies_here_is_a_topic_and_one_is_made() -> None:
    assert sorted([path.stem for path in PAGES] + ["api"]) == sorted(topics())
    assert len(GROUPS) > 3


@pytest.mark.parametrize("topic", topics())
def test_a_page_has_a_title_a_summary_and_no_comments(topic: str) -> None:
    found = page(topic)

    assert found is not None
    assert found.title
    assert found.summary.endswith((".", ":", "?"))
    assert "<!--" not in found.text
    assert found.text.startswith(f"# {found.title}\n")


def test_what_is_no_topic_has_no_page() -> None:
    assert page("../../README") is None
    assert page("") is None


@pytest.mark.parametrize(
    ("word", "topic"),
    [
        ("securty", "security"),
        ("Limits", "limits"),
        ("first job", "first-job"),
        ("how it works", "how-it-works"),
        ("dask", "coming-from"),
        ("debugging", "testing"),
        ("promises", "limits"),
        ("qqq", None),
        ("", None),
    ],
)
def test_the_topic_that_was_meant_is_told(word: str, topic: str | None) -> None:
    assert nearest(word) == topic


def test_words_are_found_where_all_of_them_stand_a_heading_first() -> None:
    hits = search("SENTINEL failover")

    assert (hits[0].topic, hits[0].section) == ("cluster", "Redis with Sentinel")
    assert all(hit.excerpt for hit in hits)
    assert search("") == []
    assert search("xylophone") == []


def test_a_hit_leads_to_its_section_and_shows_no_markdown() -> None:
    hit = next(hit for hit in search("skip_entry") if hit.topic == "jobs-over-time")

    assert hit.anchor == "bad-entries"
    assert "`" not in hit.excerpt
    assert "skip_entry" in hit.excerpt


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in disco_rq.__all__ if not name.startswith("__")),
        *func.__all__,
        *runtime.__all__,
        *errors.__all__,
    ],
)
def test_every_public_name_is_in_the_reference_with_what_it_promises(name: str) -> None:
    reference = page("api")

    assert reference is not None
    assert f"### {name}\n" in reference.text or f"- `{name}` (" in reference.text


def test_the_reference_shows_methods_as_they_are_called() -> None:
    reference = page("api")

    assert reference is not None
    assert "`job.wait(timeout=None" in reference.text
    assert "``" not in reference.text.replace("```", "")
