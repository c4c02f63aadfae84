"""
Secrets kept out of everything that is written: logs, dead letters, evidence, notices.

By the name of a key, by the shape of a text, and by value: whoever reads a secret registers it with `SECRETS`, and from
then on it is masked wherever it turns up, also in base64 and in a URL.
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote

from kintsugi.regex import Substitutions

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

# RE2 takes time like the text, whoever wrote it. A match begins at the word that tells, not at the name around it.
_SHAPES = Substitutions(
    (
        (r"(?i)\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,}", rf"\1 {MASK}"),
        (r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:)[^\s@/]{1,400}@", rf"\1{MASK}@"),
        (rf'(?i)((?:{_KEY_WORDS})[\w.-]{{0,40}}"\s{{0,4}}:\s{{0,4}})"(?:\\.|[^"\\])*"?', rf'\1"{MASK}"'),
        (rf"(?i)((?:{_KEY_WORDS})[\w.-]{{0,40}}=)[^\s,;&\"'}}]+", rf"\1{MASK}"),
        (r"(?s)-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END|$)", MASK),
    )
)


def is_secret_key(key: str) -> bool:
    """Tell whether what stands under this name is to be masked whatever it is."""
    return _SECRET_KEY.search(key) is not None


class Redactor:
    """Masks secrets in texts and nested values; knows those that were registered."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._forms: tuple[str, ...] = ()

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
        self._forms = tuple(longest_first)

    def text(self, text: str) -> str:
        """Mask registered values, then whatever looks like a credential."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return _SHAPES.apply(text)

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
