"""What a user's program holds: ``Disco`` and ``Job`` submit jobs, watch them and read their results."""
