"""A node: workers, one a slot, kept running by a supervisor, and a data server for their files."""
