"""The ten pages of an access log that were asked for most, the first one first:

``disco-rq run disco_rq.examples.top_pages 'access.log*'``
"""

import re

from disco_rq.func import top_keys
from disco_rq.runtime import counter

REQUEST = re.compile(r'"(?:GET|POST|HEAD) ([^ ?"]+)[^"]*" [123]')
combiner, reduce = top_keys(10)
nr_reduces = 1  # each reduce gives ten


def map(line, params):
    request = REQUEST.search(line)
    if request:
        yield request[1], 1
    else:
        counter("lines without a page")
