"""The service behind an agent: HTTP/1.1 by hand on raw sockets, so that it can misbehave exactly."""

import json
import select
import socket
import struct
import threading
import time

from .data import blocks, data, sha256, MIB

RANGE_SIZE = MIB


class Gone(Exception):
    """The peer closed the connection."""


class Exchange:
    """One request as it arrived, and every way to answer it."""

    def __init__(self, upstream, connection, reader, line, headers):
        self.upstream, self.connection, self.reader = upstream, connection, reader
        self.method, self.target, self.version = (part.decode("latin-1") for part in line.split(b" ", 2))
        self.headers = headers
        self.trailers = []
        self.arrived = time.monotonic()
        self.keep_alive = (self.header("connection") or "").lower() != "close"
        self._chunked_answer = False
        self._body_left = (self.header("content-length") or "0") != "0" or self.header("transfer-encoding") is not None
        self._answered = False

    # ---- the request

    @property
    def path(self):
        return self.target.split("?", 1)[0]

    def header(self, name):
        """The value of a field, or None; several are joined as RFC 9110 allows."""
        values = self.values(name)
        return b", ".join(values).decode("latin-1") if values else None

    def values(self, name):
        """The raw values of a field in their order."""
        return [value for field, value in self.headers if field.lower() == name.encode()]

    def body(self):
        """Yields the request body as it arrives."""
        if not self._body_left:
            return
        self._body_left = False
        self.welcome()
        if self.header("transfer-encoding"):
            while size := int(self._line().split(b";")[0], 16):
                yield from self._exactly(size)
                self._line()
            while line := self._line():
                name, value = line.split(b":", 1)
                self.trailers.append((name, value.strip(b" \t")))
        else:
            yield from self._exactly(int(self.header("content-length")))

    def welcome(self):
        """100 Continue, if the client waits for it and nothing was answered yet."""
        if "100-continue" in (self.header("expect") or "").lower() and not self._answered:
            self._answered = True
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _exactly(self, size):
        while size:
            piece = self.reader.read1(min(size, 65536))
            if not piece:
                raise Gone("the request body was cut")
            size -= len(piece)
            yield piece

    def _line(self):
        line = self.reader.readline()
        if not line.endswith(b"\n"):
            raise Gone("the request body was cut")
        return line.rstrip(b"\r\n")

    # ---- the answer

    def respond(self, status, body=b"", headers=()):
        """A whole answer with a content-length, or without a body where HTTP has none."""
        if status in (204, 304) or self.method == "HEAD":
            self.start(status, headers)
        else:
            self.start(status, headers, length=len(body), first=body)

    def start(self, status, headers=(), length=None, chunked=False, first=b""):
        """The head, and with it the first bytes of the body."""
        head = [b"HTTP/1.1 %d %s" % (status, b"Made by hand"), b"x-served-by: " + self.upstream.name.encode()]
        head += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
        if length is not None:
            head.append(b"content-length: %d" % length)
        if chunked:
            head.append(b"transfer-encoding: chunked")
        self._chunked_answer, self._answered = chunked, True
        self.send(b"\r\n".join(head) + b"\r\n\r\n" + (self._framed(first) if first else b""))

    def write(self, piece):
        self.send(self._framed(piece))

    def finish(self):
        """The regular end of a chunked answer."""
        if self._chunked_answer:
            self.send(b"0\r\n\r\n")

    def _framed(self, piece):
        return b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked_answer else piece

    def send(self, octets):
        """Anything at all, right or wrong."""
        try:
            self.connection.sendall(octets)
        except OSError as error:
            raise Gone(str(error)) from error

    def hang_up(self):
        """FIN now."""
        self.keep_alive = False
        self.upstream.close(self.connection)

    def reset(self):
        """RST now."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep_alive = False
        self.reader.close()
        self.connection.close()

    def closed_by_peer(self, within):
        """Seconds until the peer closed its side, unread bytes or not; None if it did not within the time."""
        begin = time.monotonic()
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        return time.monotonic() - begin if poll.poll(within * 1000) else None


class Upstream:
    """Listens on a free port of loopback. `routes` maps a path, or a prefix ending in `/*`, to a function of an Exchange."""

    def __init__(self, name="upstream", routes=None, port=0):
        self.name = name
        self.routes = SAMPLE | (routes or {})
        self.seen = []
        self._connections = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def last(self, path):
        """The latest request for a path."""
        return next((exchange for exchange in reversed(self.seen) if exchange.path == path), None)

    def count(self, path):
        return sum(exchange.path == path for exchange in list(self.seen))

    def open_connections(self):
        with self._lock:
            return len(self._connections)

    def stop(self):
        """Closes the port and every connection."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        except OSError:
            pass
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            self.close(connection)

    def close(self, connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        reader = connection.makefile("rb", buffering=65536)
        try:
            while exchange := self._next(connection, reader):
                self.seen.append(exchange)
                self._handler(exchange.path)(exchange)
                for _ in exchange.body():
                    pass
                if not exchange.keep_alive:
                    break
        except (Gone, OSError, ValueError):
            pass  # the peer left or sent nonsense; the check looks at its own side
        finally:
            with self._lock:
                self._connections.discard(connection)
            self.close(connection)
            try:
                reader.close()
                connection.close()
            except OSError:
                pass

    def _next(self, connection, reader):
        line = reader.readline().rstrip(b"\r\n")
        if not line:
            return None
        headers = []
        while field := reader.readline().rstrip(b"\r\n"):
            name, value = field.split(b":", 1)
            headers.append((name, value.strip(b" \t")))
        return Exchange(self, connection, reader, line, headers)

    def _handler(self, path):
        if path in self.routes:
            return self.routes[path]
        for pattern, handler in self.routes.items():
            if pattern.endswith("/*") and path.startswith(pattern[:-1]):
                return handler
        return lambda exchange: exchange.respond(404, b"no such path in the upstream\n")


# ---- the well-behaved routes

def hello(exchange):
    exchange.respond(200, f"hello from {exchange.upstream.name}\n".encode(), [("content-type", "text/plain")])


def echo(exchange):
    """Gives each piece of the request body back as it arrives, in the framing that the request had."""
    exchange.welcome()
    length = exchange.header("content-length")
    kind = [("content-type", exchange.header("content-type") or "application/octet-stream")]
    exchange.start(200, kind, length=int(length or 0) if not exchange.header("transfer-encoding") else None,
                   chunked=bool(exchange.header("transfer-encoding")))
    for piece in exchange.body():
        exchange.write(piece)
    exchange.finish()


def measure(exchange):
    """Tells length, hash and framing of the request body."""
    size = 0

    def counted():
        nonlocal size
        for piece in exchange.body():
            size += len(piece)
            yield piece

    told = {"sha256": sha256(counted()), "bytes": size, "method": exchange.method,
            "content_length": exchange.header("content-length"), "transfer_encoding": exchange.header("transfer-encoding")}
    exchange.respond(200, json.dumps(told).encode(), [("content-type", "application/json")])


def told_bytes(exchange):
    """/bytes/N: N bytes with a content-length."""
    total = int(exchange.path.rsplit("/", 1)[1])
    exchange.start(200, [("content-type", "application/octet-stream")], length=total)
    if exchange.method != "HEAD":
        for piece in blocks(total):
            exchange.write(piece)


def chunked_bytes(exchange):
    """/chunked/N: N bytes in chunks."""
    exchange.start(200, [("content-type", "application/octet-stream")], chunked=True)
    for piece in blocks(int(exchange.path.rsplit("/", 1)[1])):
        exchange.write(piece)
    exchange.finish()


def status(exchange):
    """/status/N"""
    code = int(exchange.path.rsplit("/", 1)[1])
    exchange.respond(code, f"status {code}\n".encode(), [("etag", '"v1"')])


def redirect(exchange):
    """/redirect/N: to /"""
    exchange.respond(int(exchange.path.rsplit("/", 1)[1]), b"elsewhere\n", [("location", "/")])


def seen_headers(exchange):
    """Tells the head that arrived."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers]
    told = {"method": exchange.method, "target": exchange.target, "version": exchange.version, "headers": fields}
    exchange.respond(200, json.dumps(told).encode(), [("content-type", "application/json")])


def ranged(exchange):
    """A file of 1 MiB that honours a single `Range: bytes=A-B`."""
    whole = data(RANGE_SIZE)
    wanted = exchange.header("range")
    if not wanted:
        return exchange.respond(200, whole, [("accept-ranges", "bytes")])
    first, last = wanted.removeprefix("bytes=").split("-")
    if int(first) >= RANGE_SIZE:
        return exchange.respond(416, b"", [("content-range", f"bytes */{RANGE_SIZE}")])
    last = min(int(last or RANGE_SIZE), RANGE_SIZE - 1)
    return exchange.respond(206, whole[int(first):last + 1], [("content-range", f"bytes {first}-{last}/{RANGE_SIZE}")])


SAMPLE = {
    "/": hello, "/echo": echo, "/measure": measure, "/headers": seen_headers, "/range": ranged, "/bytes/*": told_bytes,
    "/chunked/*": chunked_bytes, "/status/*": status, "/redirect/*": redirect,
}


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")
