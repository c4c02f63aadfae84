"""What the daemon says about itself: logs, metrics, and the redaction that both go through."""

from kintsugi.telemetry.containment import Border, Containment, Turn, in_words
from kintsugi.telemetry.logs import Format, Logger, configure_logging, get_logger, log_context
from kintsugi.telemetry.loop_lag import LoopHeartbeat
from kintsugi.telemetry.metrics import KnownLabels, Metrics
from kintsugi.telemetry.redaction import MASK, SECRETS, Redactor, is_secret_key

__all__ = [
    "MASK",
    "SECRETS",
    "Border",
    "Containment",
    "Format",
    "KnownLabels",
    "Logger",
    "LoopHeartbeat",
    "Metrics",
    "Redactor",
    "Turn",
    "configure_logging",
    "get_logger",
    "in_words",
    "is_secret_key",
    "log_context",
]
