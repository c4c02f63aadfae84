"""What the daemon says about itself: logs, metrics, and the redaction that both go through."""

from kintsugi.telemetry.logs import Format, Logger, configure_logging, get_logger, log_context
from kintsugi.telemetry.metrics import KnownLabels, Metrics
from kintsugi.telemetry.redaction import MASK, SECRETS, Redactor, is_secret_key

__all__ = [
    "MASK",
    "SECRETS",
    "Format",
    "KnownLabels",
    "Logger",
    "Metrics",
    "Redactor",
    "configure_logging",
    "get_logger",
    "is_secret_key",
    "log_context",
]
