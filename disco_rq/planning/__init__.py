"""What runs next, where: decided without I/O and without a clock, so that a test can play any story.

``planner`` answers with the assignments of ``assignment``; ``jobstate`` and ``nodestate`` are what it knows,
``turns`` whose turn it is; ``stragglers`` and ``stranded`` look at it for what lags and what cannot go on.
"""
