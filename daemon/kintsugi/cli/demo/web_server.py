"""
A web server that is well while its upstream is: the embedded cluster runs it, with the standard library alone.

    web_server.py ADDRESS PORT UPSTREAM [TLS_PORT CERTIFICATE KEY]

Every path answers 200 while UPSTREAM answers, 503 otherwise. UPSTREAM is HOST:PORT, which must take connections, or
http://HOST:PORT/PATH, which must answer 200. On TLS_PORT it says the same over HTTPS.
"""

import http.client
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TIMEOUT = 2.0
"""Seconds that the upstream may take."""


def answers(upstream: str) -> bool:
    """Return whether the upstream is well."""
    parts = urlsplit(upstream if "//" in upstream else f"//{upstream}")
    assert parts.hostname is not None, upstream
    try:
        if parts.scheme != "http":
            socket.create_connection((parts.hostname, parts.port or 0), timeout=TIMEOUT).close()
            return True
        asked = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        try:
            asked.request("GET", parts.path)
            return asked.getresponse().status == 200
        finally:
            asked.close()
    except (OSError, http.client.HTTPException):
        return False


def serve(address: tuple[str, int], upstream: str, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    """Return a server that listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_well = answers(upstream)
            text = b"ok\n" if is_well else f"{upstream} does not answer\n".encode()
            self.send_response(200 if is_well else 503)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Log nothing of each request: probes come all the time."""

    server = ThreadingHTTPServer(address, Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def main(words: Sequence[str]) -> None:
    """Serve until the process is ended."""
    address, port, upstream, *tls = words
    if tls:
        tls_port, certificate, key = tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        secure = serve((address, int(tls_port)), upstream, context)
        threading.Thread(target=secure.serve_forever, daemon=True).start()
    sys.stdout.write(f"listening on {address}:{port}\n")
    sys.stdout.flush()
    serve((address, int(port)), upstream).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
