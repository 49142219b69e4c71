"""Sales by country and month, from CSV: polars groups each batch, the reduce adds what it found:

``disco-rq run disco_rq.examples.polars_sums 'sales*.csv'``
"""

from disco_rq.func import csv_batches, kvgroup

map_reader = csv_batches()
sort = True


def map(batch, params):
    import polars as pl

    sales = pl.DataFrame(batch).with_columns(pl.col("price").cast(pl.Float64))
    month = pl.col("day").str.head(7).alias("month")
    sums = sales.group_by("country", month).agg(pl.len(), pl.sum("price"))
    for country, month, number, total in sums.iter_rows():
        yield (country, month), (number, total)


def reduce(pairs, params):
    for key, sums in kvgroup(pairs):
        numbers, totals = zip(*sums, strict=True)
        yield key, (sum(numbers), sum(totals))
