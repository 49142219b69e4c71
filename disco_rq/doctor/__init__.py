"""What is wrong with a cluster, or will be: looked at from where this runs. Nothing is changed.

``examination`` asks all of it; ``server`` judges the Redis server, ``machines`` the nodes.
"""

from disco_rq.doctor.examination import examine
from disco_rq.doctor.finding import Finding

__all__ = ["Finding", "examine"]
