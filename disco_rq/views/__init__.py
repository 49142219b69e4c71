"""What the page and the command line tell of a cluster and its jobs, without HTTP."""
