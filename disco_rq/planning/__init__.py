"""What runs next, where: decided without I/O and without a clock, so that a test can play any story.

``board`` is what is known, of the states in ``jobstate`` and ``nodestate``. ``planner`` answers with the
assignments of ``assignment``; ``turns`` is whose turn it is. ``stragglers`` and ``stranded`` look at it for
what lags and what cannot go on.
"""
