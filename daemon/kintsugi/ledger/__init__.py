"""
The only speaker of the database: everything that was seen, decided and done, on SQLite or PostgreSQL.

`Ledger.open(url, holder=…)` is the daemon's, `Ledger.read(url)` everybody else's.
"""

from kintsugi.ledger.boundary import QUIET, Boundary
from kintsugi.ledger.claims import Claim, Claimed, Decide
from kintsugi.ledger.evidence import Evidence
from kintsugi.ledger.inbox import Accepted
from kintsugi.ledger.ledger import Ledger
from kintsugi.ledger.retention import RetentionTerms
from kintsugi.ledger.windows import Windows

__all__ = [
    "QUIET",
    "Accepted",
    "Boundary",
    "Claim",
    "Claimed",
    "Decide",
    "Evidence",
    "Ledger",
    "RetentionTerms",
    "Windows",
]
