"""
The database of everything seen, decided and done, on SQLite or PostgreSQL. Only this package accesses it.

The daemon uses `Ledger.open(url, holder=…)`, all others `Ledger.read(url)`.
"""

from kintsugi.ledger.incidents.diagnoses import DiagnosisRepository
from kintsugi.ledger.incidents.incidents import IncidentRepository
from kintsugi.ledger.incidents.run_requests import Decide, RunRequest, RunRequestResult
from kintsugi.ledger.incidents.runs import CatalogRepository
from kintsugi.ledger.ledger import Ledger
from kintsugi.ledger.outbox import OutboxRepository
from kintsugi.ledger.signals.deliveries import Accepted, in_pieces
from kintsugi.ledger.signals.signals import DeliveryInbox, SignalInbox
from kintsugi.ledger.store.transactions import NO_FAILPOINTS, Failpoints, LedgerWrite, Windows
from kintsugi.ledger.upkeep import RetentionTerms

__all__ = [
    "NO_FAILPOINTS",
    "Accepted",
    "CatalogRepository",
    "Decide",
    "DeliveryInbox",
    "DiagnosisRepository",
    "Failpoints",
    "IncidentRepository",
    "Ledger",
    "LedgerWrite",
    "OutboxRepository",
    "RetentionTerms",
    "RunRequest",
    "RunRequestResult",
    "SignalInbox",
    "Windows",
    "in_pieces",
]
