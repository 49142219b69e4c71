"""Clean a table of sales, and sum it by country and month. Rows that nobody can use are left out, one in
twenty at most:

``disco-rq run disco_rq.examples.clean sales.csv``

It takes the columns day, country and price. On a cluster ``disco-rq bad @`` lists the rows that were left
out, each with its file, byte and error; ``--max-bad 0`` ends the job with the first one.
"""

from datetime import date
from decimal import Decimal

from disco_rq.func import csv_reader, sum_combiner, sum_reduce
from disco_rq.runtime import skip_entry

max_bad = 0.05
map_reader = csv_reader()  # a row with too few or too many columns is bad
combiner = sum_combiner
reduce = sum_reduce
sort = True


def map(row, params):
    day = date.fromisoformat(row["day"])  # an exception speaks of this row: it is bad
    price = Decimal(row["price"])
    if price < 0:
        skip_entry(row, "a price below zero")  # and so is a row that is skipped; nothing of it counts
    yield (row["country"].strip().upper(), f"{day:%Y-%m}"), price
