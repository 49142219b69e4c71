"""About how many different users saw each page, from JSON lines with page and user:

``disco-rq run disco_rq.examples.distinct_users views.jsonl``
"""

from disco_rq.func import count_distinct, jsonl_reader

map_reader = jsonl_reader()
combiner, reduce = count_distinct(error=0.01)  # 16 KiB a page; without an error it counts exactly
sort = True


def map(view, params):
    yield view["page"], view["user"]
