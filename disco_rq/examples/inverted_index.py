"""For each word the files that it is in, those with most of it first:

``disco-rq run disco_rq.examples.inverted_index 'docs/**/*.md' --json``
"""

import re
from collections import Counter

from disco_rq.func import kvgroup
from disco_rq.runtime import this_inputs

sort = True


def map(line, params):
    for word in re.findall(r"\w+", line.lower()):
        yield word, this_inputs()[0]


def combiner(word, file, counts, done, params):
    if done:
        return [(word, (file, count)) for (word, file), count in counts.items()]
    counts[word, file] = counts.get((word, file), 0) + 1
    return None


def reduce(pairs, params):
    for word, files in kvgroup(pairs):
        counts = Counter()
        for file, count in files:  # a big file has several maps
            counts[file] += count
        yield word, counts.most_common()
