"""Inner join of two tables by their first column, as the join of a shell, but of files that need no order:

``python -m disco_rq.examples.join people.csv 'visits/*.csv'``

Two jobs with a map only cut the tables into partitions by that column, so that equal keys are in equal ones.
A job with a reduce only reads each partition of both, and there the rows with the same key meet.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from itertools import product

from disco_rq import Disco, DiscoError, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter

PARTITIONS = 4


def read(line, params):
    for key, *rest in filter(None, csv.reader([line])):  # an empty line has no row
        yield key, (params["side"], rest)


def meet(pairs, params):
    for key, rows in kvgroup(pairs):
        left, right = [], []
        for side, rest in rows:
            (left if side == "left" else right).append(rest)
        if not (left and right):
            counter("keys without a partner")
        for one, other in product(left, right):
            yield key, one + other


def join(disco: Disco, left: list[str], right: list[str]) -> Iterator[list[str]]:
    """Rows ``[key, *rest of the left row, *rest of the right row]``, for each pair of rows with that key."""
    # Both are under way at the same time; only wait() waits.
    tables = [
        disco.new_job(f"join_{side}", files, map=read, nr_reduces=PARTITIONS, params={"side": side})
        for side, files in (("left", left), ("right", right))
    ]
    inputs = [address for table in tables for address in table.wait()]
    joined = disco.new_job("join", inputs, reduce=meet, sort=True)
    for key, row in result_iterator(joined.wait()):
        yield [key, *row]
    for job in [*tables, joined]:
        job.purge()  # on a cluster that stays, or else their files would


def main():
    parser = argparse.ArgumentParser(description="Inner join of two tables of CSV by their first column.")
    parser.add_argument("left", help="a file, a glob, a directory or a URL")
    parser.add_argument("right", help="another one")
    options = parser.parse_args()
    with Disco() as disco:
        csv.writer(sys.stdout, lineterminator="\n").writerows(join(disco, [options.left], [options.right]))


if __name__ == "__main__":
    try:
        main()
    except DiscoError as error:
        sys.exit(f"join: {error}")
