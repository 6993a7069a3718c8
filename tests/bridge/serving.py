"""Servers of this machine that stand in for others: JSON in, JSON out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class StandIn(ThreadingHTTPServer):
    """Answers each request by ``answer``; the bodies of all requests are kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        """A status and what is sent: text as it is, all else as JSON."""
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
        status, said = self.server.answer(body)
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked has stopped waiting

    def log_message(self, *args: Any) -> None: ...


Server = TypeVar("Server", bound=StandIn)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server answers inside the block."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
