"""Programs to read, run and copy: each has ``map`` and ``reduce`` as its top-level names."""
