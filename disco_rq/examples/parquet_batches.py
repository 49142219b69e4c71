"""Sales and mean price by country, from Parquet by columns, saved as Parquet in the directory sums:

``disco-rq run disco_rq.examples.parquet_batches 'sales/*.parquet'``
"""

from pathlib import Path

from disco_rq.func import kvgroup, parquet_batches

map_reader = parquet_batches(columns=["country", "price"])
sort = True
save, save_format = str(Path("sums").absolute()), "parquet"


def map(batch, params):  # pl.from_arrow(batch) or a query of DuckDB would do as well
    import pyarrow

    table = pyarrow.table(batch).group_by("country").aggregate([("price", "sum"), ("price", "count")])
    for row in table.to_pylist():
        yield row["country"], (row["price_sum"] or 0, row["price_count"])


def reduce(pairs, params):
    for country, sums in kvgroup(pairs):
        total, number = (sum(column) for column in zip(*sums, strict=True))
        yield country, {"sales": number, "mean": total / number if number else None}
