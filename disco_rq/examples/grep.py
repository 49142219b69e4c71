"""Lines that match a regular expression, with their files, as grep prints them:

``disco-rq run disco_rq.examples.grep -p pattern='ERROR|FATAL' '/var/log/app/*.log.gz'``
"""

import re

from disco_rq import Params
from disco_rq.runtime import counter, err, this_inputs

params = Params(pattern="")


def map_init(lines, params):
    if params.pattern == "":
        err("no pattern: name one with -p pattern=REGEX")
    params.regex = re.compile(str(params.pattern))  # -p pattern=404 is a number


def map(line, params):
    if params.regex.search(line):
        counter("matches")
        yield this_inputs()[0], line
