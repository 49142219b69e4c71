"""Ready-made pieces of jobs: what to make of the values of a key, as a combiner and a reduce.

Most are folds (see ``shuffle.folding``): the same results whatever is combined, cut or spilled. ``func``
hands them out; ``making`` checks what they are asked for.
"""
