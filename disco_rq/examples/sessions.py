"""Sessions of each user: views with less than half an hour between them. Columns user, time and page:

``disco-rq run disco_rq.examples.sessions -p minutes=30 views.csv``
"""

from datetime import datetime, timedelta

from disco_rq import Params
from disco_rq.func import csv_reader, kvgroup

params = Params(minutes=30)
map_reader = csv_reader()
sort_values = True  # the views of a user come in the order of time


def map(row, params):
    yield row["user"], (datetime.fromisoformat(row["time"]), row["page"])


def reduce(pairs, params):
    for user, views in kvgroup(pairs):
        start, first = end, last = next(views)
        number = 1
        for time, page in views:
            if time - end > timedelta(minutes=params.minutes):
                yield user, (str(start), number, first, last)
                start, first, number = time, page, 0
            end, last, number = time, page, number + 1
        yield user, (str(start), number, first, last)
