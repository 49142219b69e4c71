"""Task outputs wherever they lie: addresses, the directory of a node, what serves and fetches them."""
