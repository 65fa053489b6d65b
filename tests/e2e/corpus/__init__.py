"""The corpus: requests as attackers and odd clients send them, and what must become of each."""

from tests.e2e.corpus import chunked, expectations, fields, framing, hosts, limits, lines, paths, pipelines
from tests.e2e.corpus.case import Case

CASES: list[Case] = [
    case
    for module in (framing, lines, chunked, hosts, paths, limits, pipelines, expectations, fields)
    for case in module.CASES
]
