"""HTTP clients: the real curl, and a raw connection for what curl will not do."""

import dataclasses
import json
import pathlib
import socket
import subprocess
import tempfile
import time


class Truncated(Exception):
    """The response did not end as its framing promised."""


@dataclasses.dataclass
class Reply:
    """What a client got. `exit` is curl's exit code, `written` what it was told to write out; header names are lower case, values raw."""
    status: int
    headers: list
    body: bytes
    exit: int = 0
    error: str = ""
    seconds: float = 0.0
    written: str = ""

    def header(self, name):
        values = self.values(name)
        return values[0].decode("latin-1") if values else None

    def values(self, name):
        return [value for field, value in self.headers if field == name]

    def json(self):
        return json.loads(self.body)


def curl_command(url, *arguments):
    """The command line that reaches a public URL on this machine, whatever its host name."""
    return ["curl", "-q", "--silent", "--show-error", "--noproxy", "*", "--connect-to", "::127.0.0.1:", *arguments, url]


def curl(url, *arguments, data=None, limit=30, output=None):
    """Runs curl once. `data` is given to it on standard input; `output` keeps the body out of memory."""
    with tempfile.TemporaryDirectory() as folder:
        heads = pathlib.Path(folder) / "heads"
        body = pathlib.Path(output) if output else pathlib.Path(folder) / "body"
        begin = time.monotonic()
        done = subprocess.run(
            curl_command(url, "--max-time", str(limit), "--dump-header", heads, "--output", body, *arguments),
            input=data, stdin=None if data is not None else subprocess.DEVNULL, capture_output=True, timeout=limit + 10,
        )
        seconds = time.monotonic() - begin
        code, headers = last_head(heads.read_bytes() if heads.exists() else b"")
        content = b"" if output or not body.exists() else body.read_bytes()
    return Reply(code, headers, content, done.returncode, done.stderr.decode(errors="replace").strip(), seconds, done.stdout.decode(errors="replace"))


def last_head(text):
    """Status and fields of the last of many heads (after 100 Continue and redirects)."""
    heads = [head for head in text.split(b"\r\n\r\n") if head.startswith(b"HTTP/")]
    if not heads:
        return 0, []
    line, *fields = heads[-1].split(b"\r\n")
    return int(line.split()[1]), [_field(field) for field in fields]


def _field(line):
    name, value = line.split(b":", 1)
    return name.decode("latin-1").lower(), value.strip(b" \t")


class Connection:
    """A raw HTTP/1.1 connection: sends what it is told and reads as slowly as it is told."""

    def __init__(self, port, receive_buffer=None, timeout=15.0):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        # Unbuffered reading would be slow; a small buffer keeps a slow reader honest.
        self.reader = self.socket.makefile("rb", buffering=receive_buffer or 65536)
        self.interims, self.trailers = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def request(self, method, target, host, headers=(), body=b""):
        """One request; a body is sent with a content-length unless the headers say otherwise."""
        fields = [(b"host", host.encode())] + [(_bytes(name), _bytes(value)) for name, value in headers]
        names = {name.lower() for name, _ in fields}
        if body and not names & {b"content-length", b"transfer-encoding"}:
            fields.append((b"content-length", str(len(body)).encode()))
        head = [f"{method} {target} HTTP/1.1".encode()] + [name + b": " + value for name, value in fields]
        self.send(b"\r\n".join(head) + b"\r\n\r\n" + body)

    def response(self, method="GET"):
        """Reads one whole response."""
        code, headers = self.head()
        return Reply(code, headers, b"".join(self.body(code, headers, method)))

    def head(self):
        """Reads a final response head; what came before it stands in `interims`."""
        self.interims = []
        while True:
            line = self.reader.readline()
            if not line.startswith(b"HTTP/1."):
                raise Truncated(f"no response head but {line[:80]!r}")
            code, headers = int(line.split()[1]), []
            while field := self.reader.readline().rstrip(b"\r\n"):
                headers.append(_field(field))
            if code >= 200 or code == 101:
                return code, headers
            self.interims.append((code, headers))

    def body(self, code, headers, method="GET"):
        """Yields the pieces of a response body; raises Truncated if it is cut."""
        fields = dict(headers)
        if method == "HEAD" or code in (204, 304):
            return
        if b"chunked" in fields.get("transfer-encoding", b"").lower():
            while True:
                line = self.reader.readline()
                if not line.endswith(b"\r\n"):
                    raise Truncated("cut before a chunk")
                size = int(line.split(b";")[0], 16)
                if not size:
                    break
                yield self._exactly(size)
                self._exactly(2)
            self.trailers = []
            while (line := self.reader.readline()) != b"\r\n":
                if not line.endswith(b"\r\n"):
                    raise Truncated("cut within the trailers")
                self.trailers.append(_field(line.rstrip(b"\r\n")))
        elif "content-length" in fields:
            left = int(fields["content-length"])
            while left:
                piece = self.reader.read1(min(left, 65536))
                if not piece:
                    raise Truncated(f"{left} bytes are missing")
                left -= len(piece)
                yield piece
        else:
            while piece := self.reader.read1(65536):
                yield piece

    def _exactly(self, size):
        piece = self.reader.read(size)
        if len(piece) != size:
            raise Truncated("cut within a chunk")
        return piece


def is_cut(pieces):
    """Whether a body ends in an error, as opposed to a clean end. Waiting in vain is neither and raises TimeoutError."""
    try:
        for _ in pieces:
            pass
        return False
    except (Truncated, ConnectionResetError):
        return True


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")
