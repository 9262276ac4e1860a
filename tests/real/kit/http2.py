"""HTTP/2 frame by frame, so that a client can be exactly as wrong as it wants. Needs the Python package hpack."""

import dataclasses
import importlib.util
import socket
import struct
import time

from .waiting import Skip

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8
KINDS = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION")
GENERIC = (PROTOCOL_ERROR, INTERNAL_ERROR)  # may always stand for a more specific one (RFC 9113, section 5.4)
CODES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
         "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM")


def needs_hpack():
    if importlib.util.find_spec("hpack") is None:
        raise Skip("the Python package hpack is not installed")


@dataclasses.dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    def __str__(self):
        kind = KINDS[self.kind] if self.kind < len(KINDS) else hex(self.kind)
        code = f" {code_name(self.code)}" if self.kind in (RST_STREAM, GOAWAY) else ""
        return f"{kind}{code} on {self.stream}"

    @property
    def code(self):
        """The error code of RST_STREAM or GOAWAY."""
        return struct.unpack(">L", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]


@dataclasses.dataclass
class Answer:
    """What came on one stream."""
    status: int = 0
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    trailers: list = None
    interims: list = dataclasses.field(default_factory=list)
    reset: int = None
    ended: bool = False

    def header(self, name):
        values = self.values(name)
        return values[0].decode("latin-1") if values else None

    def values(self, name):
        return [value for field, value in self.headers if field == name.encode()]


def code_name(code):
    return CODES[code] if code < len(CODES) else hex(code)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">L", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">L", stream) + payload


def setting(identifier, value):
    return struct.pack(">HL", identifier, value)


class Http2:
    """One connection. What it is told to send it sends; it answers SETTINGS and PING while it reads, and gives back windows."""

    def __init__(self, port, settings=b"", timeout=5.0, preface=True, receive_buffer=None, source=None):
        needs_hpack()
        import hpack
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""
        self.next_stream = 1
        self.answers = {}
        self.seen = []
        self.peer_settings = {}
        self.acknowledged = 0
        self.window = {0: 65535}
        self.gives_back = True
        self.going_away = None
        self._heads = {}
        if preface:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- sending

    def send(self, octets):
        self.socket.sendall(octets)

    def frame(self, kind, flags, stream, payload=b""):
        self.send(frame(kind, flags, stream, payload))

    def block(self, fields):
        """Encodes fields; nothing gets into the dynamic table, so that blocks may be thrown away."""
        return b"".join(_literal(_bytes(name), _bytes(value)) for name, value in fields)

    def headers(self, stream, fields, end_stream=False, more=0, split=16000):
        """HEADERS, and CONTINUATION where one frame does not do."""
        block = self.block(fields)
        pieces = [block[at:at + split] for at in range(0, len(block), split)] or [b""]
        for number, piece in enumerate(pieces):
            flags = (END_HEADERS if number == len(pieces) - 1 else 0) | (END_STREAM if end_stream and not number else 0)
            self.frame(CONTINUATION if number else HEADERS, flags | (more if not number else 0), stream, piece)

    def data(self, stream, octets=b"", end_stream=False):
        self.frame(DATA, END_STREAM if end_stream else 0, stream, octets)

    def open(self):
        """A new stream's number."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        return stream

    def request(self, method, path, host, headers=(), body=None, trailers=None, end_stream=None, scheme="http"):
        """Begins a request, sends what of a body there is within the windows, and returns the stream's number."""
        stream = self.open()
        fields = [(":method", method), (":scheme", scheme), (":path", path), (":authority", host), *headers]
        ends = (body is None and trailers is None) if end_stream is None else end_stream
        self.headers(stream, fields, end_stream=ends)
        if body is not None:
            self.upload(stream, body, end_stream=trailers is None)
        if trailers is not None:
            self.headers(stream, trailers, end_stream=True)
        return stream

    def upload(self, stream, body, end_stream=True):
        """A body within the peer's windows; reads what comes meanwhile."""
        at = 0
        while at < len(body) or (not body and end_stream):
            room = min(self.window[0], self.stream_window(stream), 16384)
            while body and room <= 0:
                self.step()
                if self.answer(stream).ended or self.answer(stream).reset is not None:
                    return at
                room = min(self.window[0], self.stream_window(stream), 16384)
            piece = body[at:at + room]
            at += len(piece)
            self.window[0] -= len(piece)
            self.window[stream] = self.stream_window(stream) - len(piece)
            self.data(stream, piece, end_stream=end_stream and at == len(body))
            if not body:
                break
        return at

    def stream_window(self, stream):
        return self.window.setdefault(stream, self.peer_settings.get(INITIAL_WINDOW_SIZE, 65535))

    # ---- receiving

    def answer(self, stream):
        return self.answers.setdefault(stream, Answer())

    def read(self):
        """The next frame as it is, or None at the end of the connection. A TimeoutError loses nothing."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            piece = self.read_some()
            if not piece:
                return None
            self.buffer += piece
        head, end = self.buffer[:9], 9 + int.from_bytes(self.buffer[:3], "big")
        payload, self.buffer = self.buffer[9:end], self.buffer[end:]
        return Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)

    def read_some(self):
        """Bytes as they are; none at the end of the connection."""
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def step(self):
        """Reads one frame and does what a client does; None at the end."""
        got = self.read()
        if got is None:
            return None
        self.seen.append(got)
        answer = self.answer(got.stream)
        if got.kind == SETTINGS:
            if got.flags & ACK:
                self.acknowledged += 1
            else:
                for at in range(0, len(got.payload), 6):
                    identifier, value = struct.unpack(">HL", got.payload[at:at + 6])
                    if identifier == INITIAL_WINDOW_SIZE:
                        before = self.peer_settings.get(identifier, 65535)
                        for stream in self.window:
                            if stream:
                                self.window[stream] += value - before
                    self.peer_settings[identifier] = value
                self.frame(SETTINGS, ACK, 0)
        elif got.kind == PING and not got.flags & ACK:
            self.frame(PING, ACK, 0, got.payload)
        elif got.kind == WINDOW_UPDATE:
            grown = struct.unpack(">L", got.payload)[0]
            self.window[got.stream] = (self.stream_window(got.stream) if got.stream else self.window[0]) + grown
        elif got.kind == HEADERS or got.kind == CONTINUATION:
            self._heads[got.stream] = self._heads.get(got.stream, b"") + unpadded(got)
            if got.kind == HEADERS and got.flags & END_STREAM:
                answer.ended = True
            if got.flags & END_HEADERS:
                self._head(answer, self.decoder.decode(self._heads.pop(got.stream), raw=True))
        elif got.kind == DATA:
            answer.body += unpadded(got)
            answer.ended |= bool(got.flags & END_STREAM)
            if got.payload and self.gives_back:
                grant = struct.pack(">L", len(got.payload))
                octets = frame(WINDOW_UPDATE, 0, 0, grant)
                self.send(octets if answer.ended else octets + frame(WINDOW_UPDATE, 0, got.stream, grant))
        elif got.kind == RST_STREAM:
            answer.reset = got.code
        elif got.kind == GOAWAY:
            self.going_away = got
        return got

    def _head(self, answer, fields):
        fields = [(bytes(name), bytes(value)) for name, value in fields]
        status = next((int(value) for name, value in fields if name == b":status"), None)
        rest = [field for field in fields if field[0] != b":status"]
        if status is None:
            answer.trailers = rest
        elif status < 200:
            answer.interims.append((status, rest))
        else:
            answer.status, answer.headers = status, rest

    def until(self, condition, what, within=5.0):
        """Reads until the condition holds."""
        deadline = time.monotonic() + within
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {within:g} s: {what}; came: {self.came()}")
            self.socket.settimeout(left)
            try:
                if self.step() is None:
                    raise AssertionError(f"the connection ended before {what}; came: {self.came()}")
            except TimeoutError:
                raise AssertionError(f"not within {within:g} s: {what}; came: {self.came()}") from None

    def head(self, stream, within=5.0):
        self.until(lambda: self.answer(stream).status or self.answer(stream).reset is not None, "the response head", within)
        return self.answer(stream)

    def response(self, stream, within=10.0):
        """The whole answer to a stream, or its reset."""
        self.until(lambda: self.answer(stream).ended or self.answer(stream).reset is not None, f"the end of stream {stream}", within)
        return self.answer(stream)

    def came(self):
        return ", ".join(map(str, self.seen[-8:])) or "nothing"

    def alive(self, within=3.0):
        """Whether the peer still answers a PING; raises if not."""
        self.frame(PING, 0, 0, b"are you?")
        self.until(lambda: any(got.kind == PING and got.flags & ACK and got.payload == b"are you?" for got in self.seen), "the answer to a PING", within)
        self.seen = [got for got in self.seen if got.kind != PING]

    def connection_error(self, *codes, within=4.0):
        """The peer must end the connection, with GOAWAY of one of the codes if it says why."""
        deadline = time.monotonic() + within
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                got = self.step()
            except (ConnectionResetError, BrokenPipeError):
                got = None
            except TimeoutError:
                raise AssertionError(f"the connection stays open; came: {self.came()}") from None
            if got is None or got.kind == GOAWAY and got.code != NO_ERROR:
                break
        away = self.going_away
        if away and away.code not in (*codes, *GENERIC):
            raise AssertionError(f"GOAWAY with {code_name(away.code)}, expected {' or '.join(map(code_name, codes))}")
        return away

    def stream_error(self, stream, *codes, within=4.0, statuses=(400,)):
        """The peer must reset the stream with one of the codes, answer it with 400, or end the connection with one of the codes."""
        deadline = time.monotonic() + within
        answer = self.answer(stream)
        while True:
            if answer.reset is not None or answer.ended or self.going_away:
                break
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                got = self.step()
            except (ConnectionResetError, BrokenPipeError):
                return "closed"
            except TimeoutError:
                raise AssertionError(f"stream {stream} is not reset; came: {self.came()}") from None
            if got is None:
                return "closed"
        if self.going_away and self.going_away.code != NO_ERROR:
            if self.going_away.code not in (*codes, *GENERIC):
                raise AssertionError(f"GOAWAY with {code_name(self.going_away.code)}")
            return "goaway"
        if answer.reset is not None and answer.status not in statuses:
            if answer.reset not in (*codes, *GENERIC):
                raise AssertionError(f"RST_STREAM with {code_name(answer.reset)}, expected {' or '.join(map(code_name, codes))}")
            return "reset"
        if answer.status not in statuses:
            raise AssertionError(f"the stream was answered with {answer.status}")
        return "answered"


def unpadded(got):
    payload = got.payload
    if got.flags & PADDED and got.kind in (DATA, HEADERS):
        payload = payload[1:len(payload) - payload[0]]
    if got.kind == HEADERS and got.flags & PRIORITIZED:
        payload = payload[5:]
    return payload


def _literal(name, value):
    """A literal field without indexing, without Huffman (RFC 7541, section 6.2.2)."""
    return b"\x00" + _integer(len(name)) + name + _integer(len(value)) + value


def _integer(value):
    if value < 127:
        return bytes((value,))
    octets, value = bytearray((127,)), value - 127
    while value >= 128:
        octets.append(value % 128 + 128)
        value //= 128
    octets.append(value)
    return bytes(octets)


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")
