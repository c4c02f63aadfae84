"""The daemon's logs and metrics, and the redaction of both."""

from kintsugi.telemetry.containment import ContainedCall, Containment, FailureScope, Listeners, in_words, refused_as
from kintsugi.telemetry.log_config import Format, Logger, configure_logging, get_logger, log_context
from kintsugi.telemetry.loop_lag import LoopHeartbeat
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.redaction import SECRETS, Redactor, is_secret_key

__all__ = [
    "SECRETS",
    "ContainedCall",
    "Containment",
    "FailureScope",
    "Format",
    "Listeners",
    "Logger",
    "LoopHeartbeat",
    "Metrics",
    "Redactor",
    "configure_logging",
    "get_logger",
    "in_words",
    "is_secret_key",
    "log_context",
    "refused_as",
]
