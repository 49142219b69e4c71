"""The web page, the HTTP API and the metrics of a cluster, served by its masters.

``port`` is the address, ``serving`` the thread of the master that answers there, ``app`` the application,
``guard`` and ``access`` say who may do what. ``api`` lists the endpoints, declared with ``asked`` (what they
take) and ``shapes`` (what they answer); the modules beside it, each named after what one sees, answer them.
``pages`` is the HTML.
"""
