"""The work of each row, once: what a user writes, and the best program around it that we know.

``run(runner, given)`` is that program, for every runner but disco-rq's. Nothing of disco-rq is imported here:
the peers' environments have none.
"""
