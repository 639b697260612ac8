"""A web server for tests, on the loopback: files in memory, and the ways in which servers fail."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 1 << 12


@dataclass
class Page:
    """What is at an address.

    `fails`: statuses of the first answers. `cuts`: the answers after these end after so many bytes.
    `takes_ranges`: with a strong validator. `pause`: seconds after each 4 KiB. `headers`
    are sent beside the others.
    """

    content: bytes = b""
    fails: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    takes_ranges: bool = True
    states_length: bool = True
    tag: str = '"1"'
    pause: float = 0.0
    redirect: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """Pages by path, and what was asked for: path and range."""

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def add(self, path: str, content: bytes = b"", **keys: Any) -> str:
        """A page, and its address."""
        self.pages[path] = Page(content, **keys)
        return self.url + path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: Any) -> None:
        """Nothing: a test looks into `Web.asked`."""

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.web.asked.append((self.path, asked))
        self.web.headers.append(dict(self.headers))
        page = self.web.pages.get(self.path)
        if page is None or page.fails:
            self.answer(404 if page is None else page.fails.pop(0), {"Content-Length": "0"})
        elif page.redirect is not None:
            self.answer(302, {"Location": page.redirect, "Content-Length": "0"})
        else:
            self.send(page, asked)

    def send(self, page: Page, asked: str | None) -> None:
        start, status, headers = 0, 200, {}
        if page.takes_ranges:
            headers["ETag"] = page.tag
            if asked and self.headers["If-Range"] == page.tag:
                start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
                last = len(page.content) - 1
                headers["Content-Range"] = f"bytes {start}-{last}/{len(page.content)}"
        body = page.content[start:]
        if page.states_length:
            headers["Content-Length"] = str(len(body))
        else:
            headers["Transfer-Encoding"] = "chunked"
        is_cut = bool(page.cuts)
        if is_cut:
            body = body[: page.cuts.pop(0)]
        self.answer(status, {**headers, **page.headers})  # from here on the next may ask
        try:
            for at in range(0, len(body), PIECE):
                piece = body[at : at + PIECE]
                self.wfile.write(
                    piece if page.states_length else b"%x\r\n%s\r\n" % (len(piece), piece)
                )
                time.sleep(page.pause)
            if is_cut:
                self.close_connection = True
            elif not page.states_length:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has gone
            self.close_connection = True

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def web_serving():
    """A server that is up while the context is; its address is `web.url`."""
    web = Web()
    handler = type("Handler", (Handler,), {"web": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
