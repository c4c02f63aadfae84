"""
The certificate of the port, from two files that are read anew when they change.

A certificate is replaced while the daemon runs: cert-manager and a mounted Secret change the files, and the next
connection has the new one. Connections that are open keep theirs.
"""

import ssl
from pathlib import Path

from kintsugi.errors import UsageError
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""One version of both files: when each was changed, which one it is, how long."""


class Certificate:
    """A certificate with its key; the last that could be used stays in use."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both files. Raises UsageError when they make no certificate."""
        self._certificate, self._key = certificate, key
        try:
            self._stamp = self._stat()
            self._context = self._read()
        except OSError as error:
            raise UsageError(f"server.tlsCertificateFile: {certificate} with {key}: {_in_words(error)}") from error

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection, from the files as they are now."""
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                self._context = self._read()
                log.info("certificate reloaded", file=str(self._certificate))
        except OSError as error:
            # Both files may be in the middle of being replaced: their stamp changes once more then.
            log.warning("certificate cannot be used, the last one stays", file=str(self._certificate), error=str(error))
        return self._context

    def _stat(self) -> Stamp:
        """Return the stamp by which a new version of the files is noticed. Raises OSError."""
        found = (path.stat() for path in (self._certificate, self._key))
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _read(self) -> ssl.SSLContext:
        """Make a context of the files. Raises OSError, of which ssl.SSLError is one."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        return context


def _no_passphrase() -> str:
    """Return no passphrase, so that OpenSSL does not ask for one on a terminal."""
    return ""


def _in_words(error: OSError) -> str:
    """Return what is wrong with the files."""
    if isinstance(error, ssl.SSLError):
        return f"they are no certificate with its key, without a passphrase, in PEM ({error.reason or error})"
    return error.strerror or str(error)
