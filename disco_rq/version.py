"""The one place that names the version."""

__version__ = "0.1.0"

PROTOCOL = 9
"""What a job, its pack and its records mean to a node. It goes up with every change that makes a node of the
version before do a new job wrongly, or the other way round: nodes hand back jobs of another protocol.
"""
