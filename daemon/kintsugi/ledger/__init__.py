"""
The database of everything seen, decided and done, on SQLite or PostgreSQL. Only this package accesses it.

The daemon uses `Ledger.open(url, holder=…)`, all others `Ledger.read(url)`.
"""

from kintsugi.ledger.catalogs import CatalogRepository
from kintsugi.ledger.diagnoses import DiagnosisRepository
from kintsugi.ledger.evidence import EvidenceRecord
from kintsugi.ledger.failpoints import NO_FAILPOINTS, Failpoints
from kintsugi.ledger.inbox import Accepted
from kintsugi.ledger.incidents import IncidentRepository
from kintsugi.ledger.ledger import Ledger
from kintsugi.ledger.outbox import OutboxRepository
from kintsugi.ledger.pieces import in_pieces
from kintsugi.ledger.retention import RetentionTerms
from kintsugi.ledger.run_requests import Decide, RunRequest, RunRequestResult
from kintsugi.ledger.signal_inbox import DeliveryInbox, LedgerInbox, SignalInbox
from kintsugi.ledger.windows import Windows

__all__ = [
    "NO_FAILPOINTS",
    "Accepted",
    "CatalogRepository",
    "Decide",
    "DeliveryInbox",
    "DiagnosisRepository",
    "EvidenceRecord",
    "Failpoints",
    "IncidentRepository",
    "Ledger",
    "LedgerInbox",
    "OutboxRepository",
    "RetentionTerms",
    "RunRequest",
    "RunRequestResult",
    "SignalInbox",
    "Windows",
    "in_pieces",
]
