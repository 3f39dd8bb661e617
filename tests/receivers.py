"""A local receiver of JSON objects over HTTP, in a thread, with the answers that a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# In every address, so that a test can see that no address is written anywhere.
SECRET = "canary-of-an-address"
POLL_SECONDS = 0.01


class Receiver(ThreadingHTTPServer):
    """Takes JSON objects, or answers with an error while `status` is one.

    `script` has the answers that come before that; while `is_answering` is not set there is none.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, dict]] = []
        self.content_types: set[str | None] = set()
        self.status = 202
        self.script: list[int] = []
        self.is_answering = threading.Event()
        self.is_answering.set()

    def url(self, channel: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{channel}/{SECRET}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.is_answering.wait()
        status = self.server.script.pop(0) if self.server.script else self.server.status
        self.server.content_types.add(self.headers["Content-Type"])
        if status < 300:
            self.server.got.append((self.path.split("/")[1], body))
        self.send_response(status)
        if status in {301, 302, 303}:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver for the length of the block."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
