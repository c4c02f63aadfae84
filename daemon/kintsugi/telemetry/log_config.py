"""
Structured logs: a constant sentence, keys beside it, one id through a run.

Our own lines and those of the libraries go the same way: context, redaction, escaping, then JSON or a console line.
"""

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, TextIO

import orjson
import structlog

from kintsugi.mask import MASK
from kintsugi.telemetry.redaction import SECRETS, is_secret_key
from kubeobjects.lines import printable

Format = Literal["auto", "json", "console"]
Logger = structlog.stdlib.BoundLogger
_Line = MutableMapping[str, Any]

_LONGEST = 8192
"""Characters of one value in a line; the rest is cut, so that a stranger's text cannot fill the disk."""

_LONGEST_MASKED = 65_536
"""Characters of one value that are looked through for secrets."""

_TRACEBACKS = frozenset({"exception", "stack"})
# The scheduler warns of each tick whose predecessor is still under way; on a slow machine nothing else is left to read.
_QUIET = {
    "aiohttp.access": logging.WARNING,
    "apscheduler": logging.ERROR,
    "alembic": logging.WARNING,
    "slack_sdk": logging.CRITICAL,
}

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# C1 controls (0x9b begins a terminal sequence), line and paragraph separators, marks that turn the direction of text,
# and lone surrogates, which no encoder accepts.
_HIDDEN = "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_FOR_JSON = re.compile(f"[{_HIDDEN}]")
_FOR_TRACEBACK = re.compile(f"[\x00-\x09\x0b-\x1f{_HIDDEN}]")


def configure_logging(*, level: str = "info", format: Format = "auto", stream: TextIO = sys.stderr) -> None:  # noqa: A002
    """Set up the logs of the whole process; called once by the composition root, again by a test."""
    console = format == "console" or (format == "auto" and stream.isatty())
    first: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    last: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _redact,
        _escape_for_console if console else _escape_for_json,
        structlog.dev.ConsoleRenderer(colors=stream.isatty()) if console else structlog.processors.JSONRenderer(_json),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Logger:
    """Return the logger of a module: `log = get_logger(__name__)`."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def log_context(**ids: str) -> Iterator[None]:
    """Put ids (`run`, `incident`) on every line written inside, in tasks started there too."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def _redact(_logger: object, _method: str, line: _Line) -> _Line:
    """
    Make every value a text, a number, or a list or mapping of these, mask secrets, then cut: never through a secret.

    What is so long that masking it would take long is cut before that, far beyond what is shown.
    """
    for key, value in line.items():
        line[key] = MASK if is_secret_key(key) else _each_text(SECRETS.value(_plain(value)), _cut)
    return line


def _plain(value: object) -> object:
    """Turn a value into what JSON knows; cut what is far too long."""
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return str(value)[:_LONGEST_MASKED]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text) - _LONGEST} more)"


def _escape_for_json(_logger: object, _method: str, line: _Line) -> _Line:
    """Escape what the encoder would let through."""
    return {key: _each_text(value, partial(_FOR_JSON.sub, _escape)) for key, value in line.items()}


def _escape_for_console(_logger: object, _method: str, line: _Line) -> _Line:
    """Escape every value for one line; tracebacks keep theirs, indented."""
    return {
        key: _for_traceback(str(value)) if key in _TRACEBACKS else _each_text(value, printable)
        for key, value in line.items()
    }


def _for_traceback(text: str) -> str:
    """Keep line ends but indent every line, so that none can pass for a line of the log."""
    return "\n".join("    " + line for line in _FOR_TRACEBACK.sub(_escape, text).split("\n"))


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _each_text(value: object, escape: Any) -> object:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape(key): _each_text(item, escape) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_text(item, escape) for item in value]
    return value


def _json(line: object, **_options: object) -> str:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
