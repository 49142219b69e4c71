"""Where pairs go: from a map to its partitions, and from the runs of all maps to the groups of a reduce.

``shuffles`` has one class for each thing that a job may ask of a map's pairs. ``partition`` and ``sortorder``
say which keys belong together and in which order; ``grouping`` hands a reduce its groups.
"""

from disco_rq.shuffle.shuffles import Opaque, Ordered, Shuffle, Sorted, combined, folded, summed

__all__ = ["Opaque", "Ordered", "Shuffle", "Sorted", "combined", "folded", "summed"]
