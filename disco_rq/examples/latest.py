"""The latest version of each record, of JSON lines with an id and the time of the change:

``disco-rq run disco_rq.examples.latest --json 'changes*.jsonl'``
"""

from disco_rq.func import jsonl_reader, max_of_group

map_reader = jsonl_reader()
combiner, reduce = max_of_group(by=lambda record: record["changed"])
sort = True


def map(record, params):
    yield record["id"], record
