"""The manual: its pages, which lie here as Markdown, and what finds one. Command line and page show them."""

from disco_rq.manual.pages import GROUPS, Page, nearest, page, topics
from disco_rq.manual.search import Hit, search

__all__ = ["GROUPS", "Hit", "Page", "nearest", "page", "search", "topics"]
