"""A small certificate authority for one cluster, made with the openssl command line."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# The machine's own openssl.cnf would make every certificate an authority.
_CONFIG = "[req]\ndistinguished_name = subject\n[subject]\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates for servers and users; everything lies in one folder."""

    def __init__(self, folder: Path) -> None:
        """Make the authority's own certificate, and the key that signs service account tokens."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG)
        self.own = self._pair("ca")
        self._request(
            self.own, "/CN=harness-ca", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
        )
        self.token_key = folder / "tokens.key"
        self.token_public_key = folder / "tokens.pub"
        _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", str(self.token_key))
        _openssl("ec", "-in", str(self.token_key), "-pubout", "-out", str(self.token_public_key))

    def user(self, name: str, *groups: str) -> Pair:
        """Issue a client certificate: Kubernetes reads the user from CN and the groups from O."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={name}"
        return self._issue(name.replace(":", "-"), subject, "extendedKeyUsage=clientAuth")

    def server(self, name: str, *addresses: str) -> Pair:
        """Issue a serving certificate for names and IPv4 addresses."""
        kinds = ("IP" if each.replace(".", "").isdigit() else "DNS" for each in addresses)
        names = ",".join(f"{kind}:{each}" for kind, each in zip(kinds, addresses, strict=True))
        return self._issue(name, f"/CN={name}", "extendedKeyUsage=serverAuth", f"subjectAltName={names}")

    def _issue(self, file: str, subject: str, *extensions: str) -> Pair:
        pair = self._pair(file)
        limits = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature")
        signer = ("-CA", str(self.own.certificate), "-CAkey", str(self.own.key))
        self._request(pair, subject, *limits, *extensions, signer=signer)
        return pair

    def _request(self, pair: Pair, subject: str, *extensions: str, signer: Sequence[str] = ()) -> None:
        added = [word for extension in extensions for word in ("-addext", extension)]
        out = ("-out", str(pair.certificate), "-keyout", str(pair.key))
        what = ("-config", str(self._config), "-days", "2", "-subj", subject)
        _openssl("req", "-x509", *_CURVE, *what, *signer, *added, *out)

    def _pair(self, file: str) -> Pair:
        return Pair(certificate=self._folder / f"{file}.crt", key=self._folder / f"{file}.key")


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)} exited {done.returncode}: {done.stderr.strip()}")
