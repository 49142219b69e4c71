"""The mean price in each country, of JSON lines among which one in a hundred may be bad:

``disco-rq run disco_rq.examples.mean_price sales.jsonl``
"""

from disco_rq.func import jsonl_reader, mean_of_group

max_bad = 0.01  # more of them end the job; "disco-rq bad @" on a cluster lists those that were left out
map_reader = jsonl_reader()
combiner, reduce = mean_of_group()
sort = True


def map(sale, params):
    yield sale["country"], float(sale["price"])  # no such column, or no number: the line is bad
