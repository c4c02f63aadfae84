"""
The only module with cryptography: keys from a file, encryption of the ledger's texts, and fingerprints of texts.

AES-256-GCM. The place of a text (its run, step and object) is authenticated with it: a text that was moved or altered
cannot be decrypted. A text begins with the id of its key, so that a missing key can be named.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidKey, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from kintsugi.errors import DecryptionFailed

BYTES = 32
"""Bytes of a key: AES-256."""

_NONCE = 12
"""Bytes of a nonce, drawn at random for each text: as NIST SP 800-38D has it, good for 2^32 texts a key."""

_SALT = 16
"""Bytes of a fingerprint's salt: as NIST SP 800-132 has it, at least."""

_SCRYPT = "scrypt:v1"
_PREFIX = "enc:aesgcm:v1"
_TEXT = re.compile(rf"{_PREFIX}:([0-9a-f]{{16}}):([A-Za-z0-9+/]+={{0,2}})")
_MADE = f"{BYTES} bytes in base64, as `openssl rand -base64 {BYTES}` makes them"


@dataclass(frozen=True, kw_only=True, slots=True)
class EncryptionKey:
    """A key, and the id by which texts name it: 16 hexadecimal digits of a digest, which say nothing about the key."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def base64_forms(self) -> tuple[str, str]:
        """Return the key as a file may hold it, in either alphabet of base64."""
        return base64.b64encode(self.secret).decode(), base64.urlsafe_b64encode(self.secret).decode()


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyText:
    """The keys of a file, in order, and a sentence for each thing that is wrong; a sentence never holds a key."""

    keys: tuple[EncryptionKey, ...]
    problems: tuple[str, ...]


def read_keys(content: bytes) -> KeyText:
    """Read a file of keys, one a line in base64, of either alphabet; blank lines and those that begin with `#` say nothing."""
    keys: list[EncryptionKey] = []
    problems: list[str] = []
    for number, line in _spoken(content):
        secret = _decoded(line)
        if secret is None:
            problems.append(f"line {number}: it is not base64: write {_MADE}")
        elif len(secret) != BYTES:
            problems.append(f"line {number}: the key has {len(secret)} bytes: write {_MADE}")
        else:
            keys.append(EncryptionKey(id=_id_of(secret), secret=secret))
    if not keys and not problems:
        problems.append(f"there is no key in it: write one a line, {_MADE}")
    return KeyText(keys=tuple(keys), problems=tuple(problems))


def encrypt(text: str, key: EncryptionKey, bound_to: str) -> str:
    """Encrypt a text, bound to where it belongs; it is decrypted only with the same `bound_to`."""
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(key.secret).encrypt(nonce, text.encode(), bound_to.encode())
    return f"{_PREFIX}:{key.id}:{base64.b64encode(nonce + sealed).decode()}"


def decrypt(encrypted: str, keys: Sequence[EncryptionKey], bound_to: str) -> str:
    """Decrypt what `encrypt` made. Raises DecryptionFailed when its key is not among them, or it is not what was made here."""
    wanted, content = _parts(encrypted)
    key = next((each for each in keys if each.id == wanted), None)
    if key is None:
        has = ", ".join(each.id for each in keys) or "none"
        raise DecryptionFailed(f"it is encrypted with the key {wanted}, and the file has {has}")
    try:
        return AESGCM(key.secret).decrypt(content[:_NONCE], content[_NONCE:], bound_to.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise DecryptionFailed(
            f"it is not what was encrypted here with the key {wanted}: it was altered, or belongs elsewhere"
        ) from error


def key_of(encrypted: str) -> str:
    """Return the id of the key that a text was encrypted with. Raises DecryptionFailed for what is no such text."""
    return _parts(encrypted)[0]


def fingerprint(text: str) -> str:
    """Return a digest with a salt (scrypt, RFC 7914) that recognises a text and discloses nothing of it."""
    salt = os.urandom(_SALT)
    return (
        f"{_SCRYPT}:{base64.b64encode(salt).decode()}:{base64.b64encode(_scrypt(salt).derive(text.encode())).decode()}"
    )


def is_of(fingerprinted: str, text: str) -> bool:
    """Return whether a fingerprint is that of a text; one that was not made here is that of none."""
    prefix, _, rest = fingerprinted.rpartition(f"{_SCRYPT}:")
    salt, _, derived = rest.partition(":")
    try:
        _scrypt(base64.b64decode(salt, validate=True)).verify(text.encode(), base64.b64decode(derived, validate=True))
    except (InvalidKey, ValueError):
        return False
    return not prefix


def _scrypt(salt: bytes) -> Scrypt:
    return Scrypt(salt=salt, length=BYTES, n=2**14, r=8, p=1)


def _parts(encrypted: str) -> tuple[str, bytes]:
    found = _TEXT.fullmatch(encrypted)
    try:
        content = base64.b64decode(found[2], validate=True) if found else b""
    except binascii.Error:
        content = b""
    if found is None or len(content) <= _NONCE:
        raise DecryptionFailed("it was not encrypted here")
    return found[1], content


def _spoken(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Go through the lines that say something, with their numbers."""
    for number, line in enumerate(content.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#"):
            yield number, stripped


def _decoded(line: bytes) -> bytes | None:
    try:
        return base64.b64decode(line.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except binascii.Error:
        return None


def _id_of(secret: bytes) -> str:
    return hashlib.sha256(b"kintsugi encryption key " + secret).hexdigest()[:16]
