"""All that disco-rq says to Redis: callers say what they want done, this package knows keys and scripts.

``connection`` opens the server and runs the scripts; ``jobs`` is what a client asks, ``attempts`` what a
worker tells, ``cluster`` what the master sees, ``lead`` what it decides while it leads, and ``queues`` what
RQ holds. ``taskstate`` reads the words in which Redis has a task.
"""
