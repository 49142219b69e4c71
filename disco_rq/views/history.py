"""The history of a job, page by page."""

from __future__ import annotations

from disco_rq.store.history import Event
from disco_rq.views import shapes
from disco_rq.views.asked import OfEvents
from disco_rq.views.sources import Sources

__all__ = ["event_shape", "events"]

MOST_LOOKED_AT = 12_000
"""Redis keeps about ten thousand lines of a job."""


def events(sources: Sources, asked: OfEvents) -> shapes.Events:
    sources.view.head(asked.job)
    wanted = asked.limit + 1  # one more tells whether there are more
    if asked.kind or asked.q:
        every = sources.browse.events(asked.job, after=asked.after, before=asked.before, most=MOST_LOOKED_AT)
        found = [event for event in every if _matches(event, asked)]
        found = found[:wanted] if asked.after else found[-wanted:]
    else:
        found = sources.browse.events(asked.job, after=asked.after, before=asked.before, most=wanted)
    more = len(found) == wanted
    if more:
        found = found[:-1] if asked.after else found[1:]
    return shapes.Events([event_shape(event) for event in found], more)


def _matches(event: Event, asked: OfEvents) -> bool:
    if asked.kind and event.by_job != (asked.kind == "msg"):
        return False
    return asked.q.lower() in event.message.lower()


def event_shape(event: Event) -> shapes.Event:
    at_ms = round(event.timestamp * 1000)
    return shapes.Event(event.offset, at_ms, event.host, "msg" if event.by_job else "sys", event.message)
