"""
The database of everything seen, decided and done, on SQLite or PostgreSQL. Only this package accesses it.

The daemon uses `Ledger.open(url, holder=…)`, all others `Ledger.read(url)`.
"""

from kintsugi.ledger.diagnoses import DiagnosisRepository
from kintsugi.ledger.inbox import Accepted, in_pieces
from kintsugi.ledger.incidents import IncidentRepository
from kintsugi.ledger.ledger import Ledger
from kintsugi.ledger.outbox import OutboxRepository
from kintsugi.ledger.retention import RetentionTerms
from kintsugi.ledger.run_requests import Decide, RunRequest, RunRequestResult
from kintsugi.ledger.runs import CatalogRepository
from kintsugi.ledger.signals import DeliveryInbox, SignalInbox
from kintsugi.ledger.store import NO_FAILPOINTS, Failpoints, LedgerWrite, Windows

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
