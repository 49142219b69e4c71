"""PageRank of a graph, lines of a page and those that it links to:

``python -m disco_rq.examples.pagerank links.txt | sort -k2nr | head``

Each round is a job; its results are the input of the next, with ``chain_reader``. What the loop must know of
all pages, such as how much the ranks have changed, the reduces put out of band.
"""

import argparse
import sys
from collections.abc import Iterator

from disco_rq import Disco, DiscoError, Params, result_iterator
from disco_rq.func import chain_reader, kvgroup
from disco_rq.runtime import put, this_partition

DAMPING = 0.85
"""How likely one follows a link, rather than going to any page."""


def map_links(line, params):
    pages = line.split()
    if pages:
        yield pages[0], pages[1:]
    for page in pages[1:]:
        yield page, []  # a page, too, even if no line says where it links to


def make_graph(pairs, params):
    pages = dead_ends = 0
    for page, rows in kvgroup(pairs):
        links = {link for row in rows for link in row}
        pages += 1
        dead_ends += not links
        yield page, (1.0, sorted(links))
    put(f"pages:{this_partition()}", pages)
    put(f"dead_ends:{this_partition()}", dead_ends)


def map_shares(entry, params):
    """A page gives its rank to those that it links to, in equal shares."""
    page, (rank, links) = entry
    yield page, (rank, links)
    for link in links:
        yield link, rank / len(links)


def add_shares(pairs, params):
    changed = dead_ends = 0.0
    for page, values in kvgroup(pairs):
        shares = 0.0
        for value in values:
            if isinstance(value, float):
                shares += value
            else:
                before, links = value
        rank = 1 - DAMPING + DAMPING * (shares + params.from_dead_ends)
        changed += abs(rank - before)
        dead_ends += 0 if links else rank
        yield page, (rank, links)
    put(f"changed:{this_partition()}", changed)
    put(f"dead_ends:{this_partition()}", dead_ends)


def total(job, name):
    """The sum of what the reduces put under that name."""
    return sum(job.oob_get(key) for key in job.oob_list() if key.startswith(f"{name}:"))


def pagerank(
    disco: Disco, inputs: list[str], max_rounds: int = 50, precision: float = 1e-4
) -> Iterator[tuple[str, float]]:
    """``(page, rank)`` for each page; the mean of all ranks is 1."""
    job = disco.new_job("pagerank_graph", inputs, map=map_links, reduce=make_graph, sort=True)
    results = job.wait()
    pages = total(job, "pages")
    for _ in range(max_rounds if pages else 0):
        before = job
        job = disco.new_job(
            "pagerank",
            results,
            map=map_shares,
            map_reader=chain_reader,
            reduce=add_shares,
            sort=True,
            nr_reduces=len(results),
            # What dead ends would lose goes to all pages alike.
            params=Params(from_dead_ends=total(before, "dead_ends") / pages),
        )
        results = job.wait()
        before.purge()
        change = total(job, "changed") / pages
        print(f"mean change of a rank: {change:.6f}", file=sys.stderr)
        if change < precision:
            break
    for page, (rank, _) in result_iterator(results):
        yield page, rank
    job.purge()


def main():
    parser = argparse.ArgumentParser(description="Rank the pages of a graph.")
    parser.add_argument("inputs", nargs="+", help="files, globs, directories or URLs")
    options = parser.parse_args()
    with Disco() as disco:
        for page, rank in pagerank(disco, options.inputs):
            print(f"{page}\t{rank:.4f}")


if __name__ == "__main__":
    try:
        main()
    except DiscoError as error:
        sys.exit(f"pagerank: {error}")
