"""
A web server that is well while its upstream takes connections: the embedded cluster runs it, with the standard library alone.

    web_server.py ADDRESS PORT UPSTREAM UPSTREAM_PORT [TLS_PORT CERTIFICATE KEY]

Every path answers 200 while the upstream takes connections, 503 otherwise. On TLS_PORT it says the same over HTTPS.
"""

import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TIMEOUT = 2.0
"""Seconds that the upstream may take."""


class Handler(BaseHTTPRequestHandler):
    """Answers by the state of `upstream`."""

    upstream = ("", 0)

    def do_GET(self) -> None:
        """Answer any path."""
        try:
            socket.create_connection(self.upstream, timeout=TIMEOUT).close()
            self.send_response(200)
        except OSError:
            self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing of each request: probes come all the time."""


def main(words: Sequence[str]) -> None:
    """Serve until the process is ended."""
    address, port, upstream, upstream_port, *tls = words
    Handler.upstream = (upstream, int(upstream_port))
    if tls:
        tls_port, certificate, key = tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        secure = ThreadingHTTPServer((address, int(tls_port)), Handler)
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        threading.Thread(target=secure.serve_forever, daemon=True).start()
    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
