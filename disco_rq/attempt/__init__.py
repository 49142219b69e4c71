"""One attempt of a task, in a worker or in this process: files, log, limits, and what its end means."""
