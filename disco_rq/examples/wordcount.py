"""Count words: ``disco-rq run disco_rq.examples.wordcount book.txt https://example.org/*.txt.gz``."""

import re

from disco_rq.func import kvgroup, sum_combiner
from disco_rq.runtime import counter, msg, put, this_inputs, this_partition

sort = True
combiner = sum_combiner


def map_init(entries, params):
    put(f"inputs:map:{this_partition()}", this_inputs())


def map(line, params):
    words = re.findall(r"\w+", line.lower())
    counter("words", len(words))
    return [(word, 1) for word in words]


def reduce(pairs, params):
    distinct = total = 0
    for word, counts in kvgroup(pairs):
        count = sum(counts)
        distinct, total = distinct + 1, total + count
        yield word, count
    put(f"words:reduce:{this_partition()}", {"distinct": distinct, "total": total})
    msg(f"{distinct:,} different words of {total:,} in partition {this_partition()}")
