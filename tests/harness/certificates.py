"""A small certificate authority for one cluster, made with the openssl command line."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# The machine's own openssl.cnf would make every certificate an authority.
_CONFIG = """\
[req]
distinguished_name = subject
[subject]
[ca]
default_ca = own
[own]
database = {folder}/issued
new_certs_dir = {folder}
rand_serial = yes
preserve = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
organizationName = optional
"""
A_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


class Authority:
    """
    Signs certificates for servers and users; everything lies in one folder.

    They are valid from a day ago, so that a process whose clock is behind by hours takes them, for three days.
    """

    def __init__(self, folder: Path, *, valid_from: datetime | None = None) -> None:
        """Make the authority's own certificate, and the key that signs service account tokens."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._valid_from = valid_from or datetime.now(UTC) - A_DAY
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=folder))
        (folder / "issued").touch()
        self.own = self._pair("ca")
        self._request(
            self.own, "/CN=harness-ca", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
        )
        self.token_key = folder / "tokens.key"
        self.token_public_key = folder / "tokens.pub"
        _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", str(self.token_key))
        _openssl("ec", "-in", str(self.token_key), "-pubout", "-out", str(self.token_public_key))

    def user(self, name: str, *groups: str) -> KeyPair:
        """Issue a client certificate: Kubernetes reads the user from CN and the groups from O."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={name}"
        return self._issue(name.replace(":", "-"), subject, "extendedKeyUsage=clientAuth")

    def expired(self, name: str, *addresses: str) -> KeyPair:
        """Issue a serving certificate that was valid for three days, and no more."""
        valid_from, self._valid_from = self._valid_from, datetime.now(UTC) - 10 * A_DAY
        try:
            return self.server(name, *addresses)
        finally:
            self._valid_from = valid_from

    def server(self, name: str, *addresses: str) -> KeyPair:
        """Issue a serving certificate for names and IPv4 addresses."""
        kinds = ("IP" if each.replace(".", "").isdigit() else "DNS" for each in addresses)
        names = ",".join(f"{kind}:{each}" for kind, each in zip(kinds, addresses, strict=True))
        return self._issue(name, f"/CN={name}", "extendedKeyUsage=serverAuth", f"subjectAltName={names}")

    def _issue(self, file: str, subject: str, *extensions: str) -> KeyPair:
        pair = self._pair(file)
        limits = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature")
        signer = ("-cert", str(self.own.certificate), "-keyfile", str(self.own.key))
        self._request(pair, subject, *limits, *extensions, signer=signer)
        return pair

    def _request(self, pair: KeyPair, subject: str, *extensions: str, signer: Sequence[str] = ()) -> None:
        """Make a key and have its certificate signed: by `signer`, or by itself."""
        added = [word for extension in extensions for word in ("-addext", extension)]
        wish = pair.certificate.with_suffix(".csr")
        config = ("-config", str(self._config))
        _openssl("req", "-new", *_CURVE, *config, "-subj", subject, *added, "-out", str(wish), "-keyout", str(pair.key))
        begin, end = (f"{each:%Y%m%d%H%M%SZ}" for each in (self._valid_from, self._valid_from + 3 * A_DAY))
        valid = ("-startdate", begin, "-enddate", end)
        by = signer or ("-selfsign", "-keyfile", str(pair.key))
        _openssl("ca", "-batch", "-notext", *config, *valid, *by, "-in", str(wish), "-out", str(pair.certificate))

    def _pair(self, file: str) -> KeyPair:
        return KeyPair(certificate=self._folder / f"{file}.crt", key=self._folder / f"{file}.key")


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)} exited {done.returncode}: {done.stderr.strip()}")
