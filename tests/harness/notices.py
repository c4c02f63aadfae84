"""Who is called: takes the notices that a daemon posts, as they are sent to people."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass
class NoticeReceiver:
    """An address for notices, and what has come in there, oldest first."""

    url: str
    taken: list[Json] = field(default_factory=list)

    def about(self, incident: str | None) -> list[str]:
        """Return the words of the notices of one incident, or (None) of none."""
        return [each["text"] for each in self.taken if each["incident"] == incident]

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings of a daemon that posts its notices here, soon."""
        return {"KINTSUGI_NOTIFICATIONS__URL": self.url, "KINTSUGI_NOTIFICATIONS__INTERVAL": "1s"}


@contextmanager
def receiver() -> Iterator[NoticeReceiver]:
    """Take notices until the end."""
    taken: list[Json] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield NoticeReceiver(url=f"http://127.0.0.1:{server.server_port}/", taken=taken)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """Serve in a thread until the end."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
