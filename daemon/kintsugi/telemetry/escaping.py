"""Escapes foreign text for a line of a log: no new lines, no control of the reader's terminal."""

import re

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# C1 controls (0x9b begins a terminal sequence), line and paragraph separators, marks that turn the direction of text,
# and lone surrogates, which no encoder accepts.
_HIDDEN = "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_FOR_JSON = re.compile(f"[{_HIDDEN}]")
_FOR_TRACEBACK = re.compile(f"[\x00-\x09\x0b-\x1f{_HIDDEN}]")


def for_json(text: str) -> str:
    """Escape what a JSON encoder leaves as it is."""
    return _FOR_JSON.sub(_escape, text)


def for_traceback(text: str) -> str:
    """Keep line ends but indent every line, so that none can pass for a line of the log."""
    return "\n".join("    " + line for line in _FOR_TRACEBACK.sub(_escape, text).split("\n"))


def _escape(match: re.Match[str]) -> str:
    """Write one character as its escape."""
    character = match.group()
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
