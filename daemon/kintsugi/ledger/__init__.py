"""
The database of everything seen, decided and done, on SQLite or PostgreSQL. Only this package accesses it.

The daemon uses `Ledger.open(url, holder=…)`, all others `Ledger.read(url)`.
"""

from kintsugi.ledger.catalogs import Catalogs
from kintsugi.ledger.incidents.incidents import Incidents
from kintsugi.ledger.incidents.run_requests import Decide, RunRequest, RunRequestResult
from kintsugi.ledger.ledger import Ledger
from kintsugi.ledger.outbox import Outbox
from kintsugi.ledger.signals.deliveries import Accepted, in_pieces
from kintsugi.ledger.signals.signals import DeliveryInbox, SignalInbox
from kintsugi.ledger.store.transactions import NO_FAILPOINTS, Failpoints, LedgerWrite, Windows
from kintsugi.ledger.upkeep import RetentionTerms

__all__ = [
    "NO_FAILPOINTS",
    "Accepted",
    "Catalogs",
    "Decide",
    "DeliveryInbox",
    "Failpoints",
    "Incidents",
    "Ledger",
    "LedgerWrite",
    "Outbox",
    "RetentionTerms",
    "RunRequest",
    "RunRequestResult",
    "SignalInbox",
    "Windows",
    "in_pieces",
]
