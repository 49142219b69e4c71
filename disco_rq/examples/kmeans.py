"""Cluster points, lines of numbers with commas between them, by Lloyd's k-means:

``python -m disco_rq.examples.kmeans -k 3 'points/*.csv'``

Each round is a job. Its reduces give the new centers as results, and how good the old ones were out of band:
the loop below looks at that to see whether another round would help.
"""

import argparse
import math
import sys

from disco_rq import Disco, DiscoError, Params, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put

Point = tuple[float, ...]


def point_of(line):
    """The point of a line; None for a heading and other lines that are none."""
    try:
        return tuple(float(number) for number in line.split(","))
    except ValueError:
        counter("lines without a point")
        return None


# -- the first centers: one after the other the point that is farthest from those before


def map_distance(line, params):
    point = point_of(line)
    if point:
        distance = min((math.dist(point, center) for center in params.centers), default=0)
        yield "farthest", (distance, point)


def keep_farthest(key, value, farthest, done, params):
    if done:
        return farthest.items()
    farthest[key] = max(value, farthest.get(key, value))
    return None


def farthest(pairs, params):
    candidates = [value for _, value in pairs]
    if candidates:
        yield max(candidates)


# -- a round: each point to its nearest center, each center to the mean of its points


def map_nearest(line, params):
    point = point_of(line)
    if point:
        distances = [math.dist(point, center) for center in params.centers]
        nearest = min(range(len(distances)), key=distances.__getitem__)
        yield nearest, (1, distances[nearest] ** 2, point)


def add(left, right):
    number, error, point = left
    more, more_error, other = right
    return number + more, error + more_error, tuple(a + b for a, b in zip(point, other, strict=True))


def add_up(cluster, value, sums, done, params):
    if done:
        return sums.items()
    sums[cluster] = add(sums[cluster], value) if cluster in sums else value
    return None


def mean(pairs, params):
    for cluster, values in kvgroup(pairs):
        total = next(values)
        for value in values:
            total = add(total, value)
        number, error, point = total
        put(f"cluster:{cluster}", {"points": number, "error": error})
        yield cluster, tuple(coordinate / number for coordinate in point)


# -- the program


def first_centers(disco, inputs, k):
    centers = []
    while len(centers) < k:
        job = disco.new_job(
            "kmeans_start",
            inputs,
            map=map_distance,
            combiner=keep_farthest,
            reduce=farthest,
            nr_reduces=1,
            params=Params(centers=centers),
        )
        found = list(result_iterator(job.wait()))
        job.purge()
        if not found:
            break  # there is no point at all
        [(distance, point)] = found
        if centers and distance == 0:
            break  # each point is a center
        centers.append(point)
    return centers


def better_centers(disco, inputs, centers):
    """The mean of each cluster with its number of points; and the error, which the old centers had."""
    job = disco.new_job(
        "kmeans",
        inputs,
        map=map_nearest,
        combiner=add_up,
        reduce=mean,
        sort=True,
        params=Params(centers=centers),
    )
    means = dict(result_iterator(job.wait()))
    stats = {cluster: job.oob_get(f"cluster:{cluster}") for cluster in means}
    job.purge()
    clusters = [(means[cluster], stats[cluster]["points"]) for cluster in sorted(means)]
    return clusters, sum(stat["error"] for stat in stats.values())


def kmeans(disco: Disco, inputs: list[str], k: int, max_rounds: int = 50) -> list[tuple[Point, int]]:
    """``(center, its number of points)`` of each cluster: k, or less if there are less different points."""
    centers = first_centers(disco, inputs, k)
    before, clusters = math.inf, []
    for _ in range(max_rounds if centers else 0):
        clusters, error = better_centers(disco, inputs, centers)
        print(f"squared distance to {len(centers)} centers: {error:g}", file=sys.stderr)
        if error >= before:
            break
        before, centers = error, [center for center, _ in clusters]
    return clusters


def main():
    parser = argparse.ArgumentParser(description="Find clusters of points with k-means.")
    parser.add_argument("-k", type=int, default=2, help="how many clusters")
    parser.add_argument("inputs", nargs="+", help="files, globs, directories or URLs")
    options = parser.parse_args()
    with Disco() as disco:
        for center, points in kmeans(disco, options.inputs, options.k):
            print(f"{points}\t{','.join(f'{coordinate:g}' for coordinate in center)}")


if __name__ == "__main__":
    try:
        main()
    except DiscoError as error:
        sys.exit(f"kmeans: {error}")
