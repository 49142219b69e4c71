"""This computer: load, packages, sockets, the processes that tasks leave behind, a Redis server."""
