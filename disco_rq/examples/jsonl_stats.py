"""Count, mean, smallest and largest of one number for each group, of JSON lines:

``disco-rq run disco_rq.examples.jsonl_stats -p group=country -p field=price sales.jsonl``
"""

from disco_rq import Params
from disco_rq.func import jsonl_reader, kvgroup
from disco_rq.runtime import counter

params = Params(group="group", field="value")
map_reader = jsonl_reader()
sort = True


def map(row, params):
    number = row.get(params.field) if isinstance(row, dict) else None
    if isinstance(number, int | float):
        yield str(row.get(params.group)), (1, number, number, number)
    else:
        counter("without_number")


def combiner(key, value, sums, done, params):
    if done:
        return sums.items()
    sums[key] = added(sums[key], value) if key in sums else value
    return None


def reduce(pairs, params):
    for group, parts in kvgroup(pairs):
        count, total, least, most = next(parts)
        for part in parts:
            count, total, least, most = added((count, total, least, most), part)
        yield group, {"count": count, "mean": total / count, "min": least, "max": most}


def added(one, other):
    return one[0] + other[0], one[1] + other[1], min(one[2], other[2]), max(one[3], other[3])
