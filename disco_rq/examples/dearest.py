"""The three dearest sales in each country, of CSV with the columns country, product and price:

``disco-rq run disco_rq.examples.dearest 'sales*.csv'``
"""

from disco_rq.func import csv_reader, top_n

map_reader = csv_reader()
combiner, reduce = top_n(3)
sort = True


def map(row, params):
    yield row["country"], (float(row["price"]), row["product"])
