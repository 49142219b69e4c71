"""The rows of two CSV files with the same id, and those of the left one that have no partner:

``disco-rq run disco_rq.examples.join_csv -p left=people.csv people.csv visits.csv``
"""

from disco_rq import Params
from disco_rq.func import csv_reader, join
from disco_rq.runtime import this_input

params = Params(left="left.csv", by="id")
map_reader = csv_reader()
reduce = join("left")
sort_values = True  # no more than the left rows of an id are held


def map(row, params):
    side = "left" if str(this_input()).endswith(params.left) else "right"
    yield row.pop(params.by), (side, row)
