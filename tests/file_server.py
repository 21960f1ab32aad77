"""A web server on the loopback that misbehaves as it is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """What is served, how it fails, and what was asked.

    Attributes:
        files: path -> bytes.
        cuts: bytes after which the next answers break off, one after another.
        busy: how many answers will be 503.
        ranges: whether parts are given at all.
        tag: ETag of everything.
        asked: (path, Range or None) of every request.
    """

    def __init__(self, url: str):
        self.url = url
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.busy = 0
        self.ranges = True
        self.tag: str | None = '"1"'
        self.asked: list[tuple[str, str | None]] = []


def _answer(handler: BaseHTTPRequestHandler, state: FileServer) -> None:
    asked = handler.headers.get("Range")
    state.asked.append((handler.path, asked))
    body = state.files.get(handler.path)
    if state.busy:
        state.busy -= 1
        handler.send_error(503)
        return
    if body is None:
        handler.send_error(404)
        return
    start = 0
    if asked and state.ranges and handler.headers.get("If-Range", state.tag) == state.tag:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            handler.send_error(416)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.send_response(200)
    if state.tag:
        handler.send_header("ETag", state.tag)
    handler.send_header("Content-Length", str(len(body) - start))
    handler.end_headers()
    end = start + state.cuts.pop(0) if state.cuts else len(body)
    handler.wfile.write(body[start:end])
    handler.close_connection = True


@contextlib.contextmanager
def serve() -> Iterator[FileServer]:
    """Run the server while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802  (the name http.server calls)
            _answer(self, state)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = FileServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
