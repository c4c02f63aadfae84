"""
Secrets kept out of everything that is written: logs, dead letters, evidence, notices.

By the name of a key, by the shape of a text, and by value: whoever reads a secret registers it with `SECRETS`, and from
then on it is masked wherever it turns up, also in base64 and in a URL.
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote

MASK = "[redacted]"

_SHORTEST = 6
"""Shorter values are not registered: masking `ab` everywhere would leave nothing readable and hide nothing."""

MOST_SECRETS = 100
"""
Registered values that are known at a time, the ones that were read last. A daemon has a dozen that are in use; one that is
made anew each hour is masked for four days after.
"""

_KEY_WORDS = r"passwo?r?d|passwd|pwd|pgpass|secret|token|authori[sz]ation|cookie|api[-_]?key|private[-_]?key|credential"
_SECRET_KEY = re.compile(_KEY_WORDS, re.IGNORECASE)

# Every repetition is bounded: these patterns run over text that strangers wrote.
_SHAPES = (
    (re.compile(r"\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,4096}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:)[^\s@/]{1,400}@", re.IGNORECASE), rf"\1{MASK}@"),
    (
        re.compile(
            rf'("[\w.-]{{0,40}}(?:{_KEY_WORDS})[\w.-]{{0,40}}"\s{{0,4}}:\s{{0,4}})"(?:\\.|[^"\\])*"?', re.IGNORECASE
        ),
        rf'\1"{MASK}"',
    ),
    (re.compile(rf"\b([\w.-]{{0,40}}(?:{_KEY_WORDS})[\w.-]{{0,40}}=)[^\s,;&\"'}}]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL), MASK),
)


def is_secret_key(key: str) -> bool:
    """Tell whether what stands under this name is to be masked whatever it is."""
    return _SECRET_KEY.search(key) is not None


class Redactor:
    """Masks secrets in texts and nested values; knows those that were registered."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._pattern: re.Pattern[str] | None = None

    def register(self, secret: str) -> None:
        """Mask this value from now on, also in base64 and percent-encoded."""
        secret = secret.strip()
        if len(secret) < _SHORTEST:
            return
        if secret in self._known:
            self._known[secret] = self._known.pop(secret)  # the newest now
            return
        raw = secret.encode("utf-8", "surrogatepass")
        self._known[secret] = (secret, base64.b64encode(raw).decode(), quote(raw, safe=""))
        if len(self._known) > MOST_SECRETS:
            del self._known[next(iter(self._known))]
        longest_first = sorted({form for forms in self._known.values() for form in forms}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Mask registered values, then whatever looks like a credential."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: object) -> object:
        """Mask inside mappings, lists and texts; under a secret's name whatever stands there."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: MASK if is_secret_key(str(key)) else self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return value


SECRETS = Redactor()
"""The secrets of this process: those who read a token or a password register it here."""
