"""A small image registry at the node's localhost:5000: it serves the images of tests/harness/images.py, and answers as a test says."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.harness.images import PARCEL_GOOD, image
from tests.harness.notices import serving

ADDRESS = "localhost:5000"
USER, PASSWORD = "parcels", "of-the-registry"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_TAGS = ("1", "2", "deaf", "private", "good", "better", "bad")
_ALIASES: Mapping[str, str] = {"parcel:private": PARCEL_GOOD}
_ASKED = re.compile(r"/v2/(?P<name>[\w./-]+)/(?P<what>manifests|blobs)/(?P<reference>[\w.:-]+)")


def served(name: str) -> str:
    """Return an image's name at this registry."""
    return f"{ADDRESS}/{name}"


def login() -> str:
    """Return what a Secret of the type kubernetes.io/dockerconfigjson holds for this registry."""
    return json.dumps({"auths": {ADDRESS: {"username": USER, "password": PASSWORD, "auth": _credentials()}}})


class Registry:
    """
    One registry; `answer` says with which status it refuses an image, by the image's name: `parcel:2`.

    `asked` are the images whose manifests were asked for, by name and tag.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, int] = {}
        self._timers: list[threading.Timer] = []

    def answer(self, name: str, status: int, *, seconds: float | None = None) -> None:
        """Refuse an image with a status, for so many seconds or until `forget`; 401 is for who has no login alone."""
        self._answers[name] = status
        if seconds is not None:
            timer = threading.Timer(seconds, self._answers.pop, [name, None])
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def forget(self) -> None:
        """Serve what there is again."""
        for each in self._timers:
            each.cancel()
        self._timers.clear()
        self._answers.clear()

    def refusal(self, name: str, authorization: str) -> int | None:
        """Return the status with which a request for an image is refused, or None."""
        self.asked.append(name)
        status = self._answers.get(name)
        let_in = status == HTTPStatus.UNAUTHORIZED and authorization == f"Basic {_credentials()}"
        return None if let_in else status

    @contextmanager
    def running(self) -> Iterator["Registry"]:
        """Serve for as long as this lasts."""
        registry = self

        class Handler(_Handler):
            """Answers for this registry."""

            def refused(self, name: str) -> int | None:
                return registry.refusal(name, self.headers.get("Authorization", ""))

        with serving(ThreadingHTTPServer(("127.0.0.1", 5000), Handler)):
            try:
                yield self
            finally:
                self.forget()


class _Handler(BaseHTTPRequestHandler):
    """The reads of the OCI distribution API."""

    protocol_version = "HTTP/1.1"

    def refused(self, name: str) -> int | None:
        """Return the status with which an image is refused, or None."""
        raise NotImplementedError

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer()

    def do_GET(self) -> None:
        """Answer with the manifest or blob."""
        self._answer()

    def log_message(self, *_: object) -> None:
        """Keep no log."""

    def _answer(self) -> None:
        asked = _ASKED.fullmatch(self.path.partition("?")[0])
        if asked is None:
            self._send(HTTPStatus.OK if self.path.rstrip("/") == "/v2" else HTTPStatus.NOT_FOUND, b"{}")
            return
        name, what, reference = asked["name"], asked["what"], asked["reference"]
        if what == "blobs":
            self._send_content(_blobs(name).get(reference))
            return
        tag = _tags(name).get(reference, reference)
        status = self.refused(f"{name}:{tag}")
        if status is None:
            self._send_content(_manifest(f"{name}:{tag}"), _MANIFEST)
            return
        self._send(status, _error(status), challenge=status == HTTPStatus.UNAUTHORIZED)

    def _send_content(self, content: bytes | None, kind: str = "application/octet-stream") -> None:
        if content is None:
            self._send(HTTPStatus.NOT_FOUND, _error(HTTPStatus.NOT_FOUND))
        else:
            self._send(HTTPStatus.OK, content, kind=kind)

    def _send(self, status: int, content: bytes, *, kind: str = "application/json", challenge: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status == HTTPStatus.OK and kind == _MANIFEST:
            self.send_header("Docker-Content-Digest", _digest(content))
        if challenge:
            self.send_header("WWW-Authenticate", 'Basic realm="parcels"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@cache
def _layered(name: str) -> tuple[bytes, bytes] | None:
    """Return layer and configuration of an image, None for one that nobody has made."""
    try:
        made = image(_ALIASES.get(name, name))
    except LookupError:
        return None
    layer = made.layer()
    return layer, made.config(layer)


@cache
def _manifest(name: str) -> bytes | None:
    found = _layered(name)
    if found is None:
        return None
    layer, config = found
    described = [
        {"mediaType": f"application/vnd.docker.{kind}", "size": len(each), "digest": _digest(each)}
        for kind, each in (("container.image.v1+json", config), ("image.rootfs.diff.tar", layer))
    ]
    document = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[0], "layers": described[1:]}
    return json.dumps(document).encode()


def _tags(name: str) -> Mapping[str, str]:
    """Return the tags of a repository by the digests of their manifests: a pull asks by tag, then by digest."""
    pairs = ((_manifest(f"{name}:{tag}"), tag) for tag in _TAGS)
    return {_digest(manifest): tag for manifest, tag in pairs if manifest is not None}


def _blobs(name: str) -> Mapping[str, bytes]:
    found = (_layered(f"{name}:{tag}") for tag in _TAGS)
    return {_digest(blob): blob for each in found if each is not None for blob in each}


def _error(status: int) -> bytes:
    codes = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS"}
    return json.dumps({"errors": [{"code": codes.get(status, "UNAVAILABLE"), "message": "refused"}]}).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _credentials() -> str:
    return base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
