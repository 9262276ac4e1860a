"""What RFC 9113, RFC 7541 and RFC 8441 ask of an HTTP/2 server, one case after another, as far as a client can see it."""

import struct

from .http2 import *  # noqa: F403 - the vocabulary of the cases
from .waiting import same

CASES = []
# What hyper's server does otherwise. None of it reaches a service.
KNOWN = {
    "a first frame that is not SETTINGS is PROTOCOL_ERROR": "it is taken",
    "a pseudo-field in trailers is malformed": "it is dropped",
}


class Scene:
    """What a case is given."""

    def __init__(self, port, host):
        self.port, self.host = port, host

    def connect(self, settings=b"", **options):
        """A connection on which both sides have sent their SETTINGS."""
        client = Http2(self.port, settings, **options)
        client.until(lambda: client.acknowledged, "SETTINGS are acknowledged")
        return client

    def fields(self, method="GET", path="/", *more):
        return [(":method", method), (":scheme", "http"), (":path", path), (":authority", self.host), *more]

    def get(self, client, path="/"):
        """A request that must succeed."""
        answer = client.response(client.request("GET", path, self.host))
        same((answer.status, answer.reset), (200, None), "a GET")
        return answer


def case(section, name):
    """Registers a case: it gets a scene and fails by raising."""
    def register(function):
        CASES.append((section, name, function))
        return function
    return register


def of(prefixes):
    return [entry for entry in CASES if entry[0].split(".")[0] in prefixes]


def _with(scene, act, expect, settings=b""):
    with scene.connect(settings) as client:
        act(client)
        return expect(client)


def _connection_error(scene, octets, *codes):
    """`octets` on a fresh connection end it with one of the codes."""
    with scene.connect() as client:
        client.send(octets)
        client.connection_error(*codes)


def _malformed(scene, fields, body=None, trailers=None):
    """A request of these fields is malformed: a stream error PROTOCOL_ERROR, and the connection goes on."""
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, fields, end_stream=body is None and trailers is None)
        if body is not None:
            client.data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            client.headers(stream, trailers, end_stream=True)
        if client.stream_error(stream, PROTOCOL_ERROR) in ("reset", "answered"):
            scene.get(client)


# ---- 3: starting

@case("3.4", "a request right behind the preface is answered")
def _(scene):
    with Http2(scene.port) as client:
        scene.get(client)


@case("3.4", "the server's first frame is SETTINGS")
def _(scene):
    with Http2(scene.port) as client:
        same(client.step().kind, SETTINGS, "the first frame")


@case("3.4", "a preface that breaks off in its second half ends the connection")
def _(scene):
    with Http2(scene.port, preface=False) as client:
        client.send(PREFACE[:18] + b"XX\r\n\r\n" + frame(SETTINGS, 0, 0))
        client.socket.settimeout(4)
        client.socket.shutdown(1)
        while client.read_some():
            pass


@case("3.4", "a first frame that is not SETTINGS is PROTOCOL_ERROR")
def _(scene):
    with Http2(scene.port, preface=False) as client:
        client.send(PREFACE + frame(PING, 0, 0, b"12345678"))
        client.connection_error(PROTOCOL_ERROR)


# ---- 4: frames

@case("4.1", "frames of unknown types are ignored")
def _(scene):
    with scene.connect() as client:
        client.frame(0xFA, 0xFF, 0, b"anything")
        client.frame(0xFA, 0, 1, b"")
        client.alive()
        scene.get(client)


@case("4.1", "flags without a meaning are ignored")
def _(scene):
    with scene.connect() as client:
        client.frame(PING, 0x16, 0, b"12345678")
        client.until(lambda: any(got.kind == PING and got.payload == b"12345678" for got in client.seen), "PING is answered")


@case("4.1", "the reserved bit is ignored")
def _(scene):
    with scene.connect() as client:
        client.send(struct.pack(">L", 8)[1:] + bytes((PING, 0)) + b"\x80\x00\x00\x00" + b"12345678")
        client.until(lambda: any(got.kind == PING and got.payload == b"12345678" for got in client.seen), "PING is answered")


@case("4.2", "DATA of 16,384 bytes is taken")
def _(scene):
    with scene.connect() as client:
        stream = client.request("POST", "/measure", scene.host, body=b"x" * 16384)
        same(client.response(stream).status, 200, "status")


@case("4.2", "DATA above SETTINGS_MAX_FRAME_SIZE is FRAME_SIZE_ERROR")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, scene.fields("POST", "/measure"))
        client.frame(DATA, END_STREAM, stream, b"x" * (client.peer_settings.get(MAX_FRAME_SIZE, 16384) + 1))
        client.stream_error(stream, FRAME_SIZE_ERROR, statuses=())


@case("4.2", "HEADERS above SETTINGS_MAX_FRAME_SIZE ends the connection with FRAME_SIZE_ERROR")
def _(scene):
    with scene.connect() as client:
        block = client.block(scene.fields() + [("x-long", "x" * client.peer_settings.get(MAX_FRAME_SIZE, 16384))])
        client.frame(HEADERS, END_STREAM | END_HEADERS, 1, block)
        client.connection_error(FRAME_SIZE_ERROR)


@case("4.3", "a field block that does not decode is COMPRESSION_ERROR")
def _(scene):
    _connection_error(scene, frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x00\x85\xf2\xb2\x4a"), COMPRESSION_ERROR)


@case("4.3", "another frame within a field block is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.frame(HEADERS, END_STREAM, 1, client.block(scene.fields()))
        client.frame(PRIORITY, 0, 1, b"\x00\x00\x00\x00\x10")
        client.connection_error(PROTOCOL_ERROR)


@case("4.3", "HEADERS of another stream within a field block is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.frame(HEADERS, END_STREAM, 1, client.block(scene.fields()))
        client.headers(3, scene.fields(), end_stream=True)
        client.connection_error(PROTOCOL_ERROR)


# ---- 5: streams

for _kind, _payload in ((DATA, b"x"), (RST_STREAM, b"\0\0\0\x08"), (WINDOW_UPDATE, b"\0\0\0\x10"), (CONTINUATION, b"")):
    @case("5.1", f"{KINDS[_kind]} on an idle stream is PROTOCOL_ERROR")
    def _(scene, kind=_kind, payload=_payload):
        _connection_error(scene, frame(kind, END_HEADERS if kind == CONTINUATION else 0, 1, payload), PROTOCOL_ERROR)


@case("5.1", "DATA after END_STREAM is STREAM_CLOSED")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields(path="/hold"), end_stream=True)
        client.data(1, b"more")
        client.stream_error(1, STREAM_CLOSED, statuses=())


@case("5.1", "HEADERS after END_STREAM is STREAM_CLOSED")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields(path="/hold"), end_stream=True)
        client.headers(1, scene.fields(path="/hold"), end_stream=True)
        client.stream_error(1, STREAM_CLOSED, PROTOCOL_ERROR, statuses=())


@case("5.1", "CONTINUATION after END_STREAM is an error")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields(path="/hold"), end_stream=True)
        client.frame(CONTINUATION, END_HEADERS, 1, b"")
        client.connection_error(STREAM_CLOSED, PROTOCOL_ERROR)


@case("5.1", "DATA after RST_STREAM is STREAM_CLOSED or ignored")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(RST_STREAM, 0, 1, struct.pack(">L", CANCEL))
        client.data(1, b"late")
        client.socket.settimeout(3)
        try:
            client.alive()
        except AssertionError:
            if not client.going_away or client.going_away.code != STREAM_CLOSED:
                raise


@case("5.1", "HEADERS after RST_STREAM opens nothing")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(RST_STREAM, 0, 1, struct.pack(">L", CANCEL))
        client.headers(1, scene.fields(), end_stream=True)
        try:
            client.alive()
        except AssertionError:
            if not client.going_away or client.going_away.code not in (STREAM_CLOSED, PROTOCOL_ERROR):
                raise
        same(client.answer(1).status, 0, "status on the stream that was reset")


@case("5.1", "WINDOW_UPDATE, PRIORITY and RST_STREAM on a stream that has ended are ignored")
def _(scene):
    with scene.connect() as client:
        scene.get(client)
        client.frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x10")
        client.frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")
        client.frame(RST_STREAM, 0, 1, b"\0\0\0\x08")
        client.alive()
        scene.get(client)


@case("5.1.1", "a stream with an even number is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(2, scene.fields(), end_stream=True)
        client.connection_error(PROTOCOL_ERROR)


@case("5.1.1", "a stream with a smaller number than the last is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(5, scene.fields(path="/hold"), end_stream=True)
        client.headers(3, scene.fields(), end_stream=True)
        client.connection_error(PROTOCOL_ERROR, STREAM_CLOSED)


@case("5.1.1", "HEADERS on stream 0 is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(0, scene.fields(), end_stream=True)
        client.connection_error(PROTOCOL_ERROR)


@case("5.1.2", "a stream beyond SETTINGS_MAX_CONCURRENT_STREAMS is refused")
def _(scene):
    with scene.connect() as client:
        allowed = client.peer_settings.get(MAX_CONCURRENT_STREAMS)
        assert allowed, "no SETTINGS_MAX_CONCURRENT_STREAMS"
        for _ in range(allowed):
            client.headers(client.open(), scene.fields(path="/hold"), end_stream=True)
        extra = client.open()
        client.headers(extra, scene.fields(path="/hold"), end_stream=True)
        client.stream_error(extra, REFUSED_STREAM, PROTOCOL_ERROR, statuses=())


@case("5.4.1", "frames behind GOAWAY of the client do no harm")
def _(scene):
    with scene.connect() as client:
        client.frame(GOAWAY, 0, 0, struct.pack(">LL", 0, NO_ERROR))
        try:
            client.frame(PING, 0, 0, b"12345678")
            while client.step():
                if any(got.kind == PING for got in client.seen):
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass


@case("5.5", "a frame of an unknown type within a field block is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.frame(HEADERS, END_STREAM, 1, client.block(scene.fields()))
        client.frame(0xFA, 0, 1, b"")
        client.connection_error(PROTOCOL_ERROR)


@case("5.3", "priorities are taken and mean nothing")
def _(scene):
    with scene.connect() as client:
        client.frame(PRIORITY, 0, 1, b"\x80\x00\x00\x00\xff")
        client.frame(PRIORITY, 0, 99, b"\x00\x00\x00\x01\x10")
        client.frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, b"\x80\x00\x00\x00\xff" + client.block(scene.fields()))
        client.next_stream = 3
        same(client.response(1).status, 200, "status")


# ---- 6: definitions of frames

@case("6.1", "DATA on stream 0 is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR)


@case("6.1", "DATA whose padding is as long as the frame is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/measure"))
        client.frame(DATA, END_STREAM | PADDED, 1, b"\x06" + b"x" * 5)
        client.connection_error(PROTOCOL_ERROR)


@case("6.1", "padding is not part of the body, and counts for the windows")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, scene.fields("POST", "/echo"))
        for _ in range(600):
            client.frame(DATA, PADDED, stream, b"\xff" + b"y" + b"\0" * 255)
            client.window[0] -= 257
            client.window[stream] = client.stream_window(stream) - 257
            client.until(lambda: min(client.window[0], client.stream_window(stream)) > 300, "the window is given back")
        client.data(stream, end_stream=True)
        same(client.response(stream).body, b"y" * 600, "the body")


@case("6.2", "HEADERS whose padding is longer than the frame is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        block = client.block(scene.fields())
        client.frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, bytes((min(255, len(block) + 1),)) + block)
        client.connection_error(PROTOCOL_ERROR)


@case("6.2", "HEADERS with padding and priority is taken")
def _(scene):
    with scene.connect() as client:
        block = client.block(scene.fields())
        client.frame(HEADERS, END_STREAM | END_HEADERS | PADDED | PRIORITIZED, 1, b"\x07\0\0\0\0\x10" + block + b"\0" * 7)
        same(client.response(1).status, 200, "status")


@case("6.3", "PRIORITY on stream 0 is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), PROTOCOL_ERROR)


@case("6.3", "PRIORITY of four bytes is FRAME_SIZE_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(PRIORITY, 0, 1, b"\0\0\0\0")
        client.stream_error(1, FRAME_SIZE_ERROR, statuses=())


@case("6.4", "RST_STREAM on stream 0 is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), PROTOCOL_ERROR)


@case("6.4", "RST_STREAM of three bytes is FRAME_SIZE_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(RST_STREAM, 0, 1, b"\0\0\0")
        client.connection_error(FRAME_SIZE_ERROR)


@case("6.4", "RST_STREAM with an error code of nobody is taken")
def _(scene):
    with scene.connect() as client:
        client.headers(client.open(), scene.fields("POST", "/hold"))
        client.frame(RST_STREAM, 0, 1, b"\xff\0\xff\0")
        client.alive()
        scene.get(client)


for _name, _flags, _stream, _payload, _code in (
    ("an acknowledgement with a payload is FRAME_SIZE_ERROR", ACK, 0, b"\0", FRAME_SIZE_ERROR),
    ("SETTINGS on a stream is PROTOCOL_ERROR", 0, 1, b"", PROTOCOL_ERROR),
    ("SETTINGS of seven bytes is FRAME_SIZE_ERROR", 0, 0, b"\0" * 7, FRAME_SIZE_ERROR),
    ("SETTINGS_ENABLE_PUSH of 2 is PROTOCOL_ERROR", 0, 0, setting(ENABLE_PUSH, 2), PROTOCOL_ERROR),
    ("SETTINGS_INITIAL_WINDOW_SIZE of 2^31 is FLOW_CONTROL_ERROR", 0, 0, setting(INITIAL_WINDOW_SIZE, 1 << 31), FLOW_CONTROL_ERROR),
    ("SETTINGS_MAX_FRAME_SIZE of 16,383 is PROTOCOL_ERROR", 0, 0, setting(MAX_FRAME_SIZE, 16383), PROTOCOL_ERROR),
    ("SETTINGS_MAX_FRAME_SIZE of 2^24 is PROTOCOL_ERROR", 0, 0, setting(MAX_FRAME_SIZE, 1 << 24), PROTOCOL_ERROR),
):
    @case("6.5", _name)
    def _(scene, flags=_flags, stream=_stream, payload=_payload, code=_code):
        _connection_error(scene, frame(SETTINGS, flags, stream, payload), code)


@case("6.5", "settings of nobody are ignored")
def _(scene):
    with scene.connect() as client:
        client.frame(SETTINGS, 0, 0, setting(0xFACE, 77) + setting(0, 1))
        client.alive()
        scene.get(client)


@case("6.5.3", "of one setting twice the last is in force, and SETTINGS are acknowledged in their order")
def _(scene):
    with scene.connect(setting(INITIAL_WINDOW_SIZE, 100) + setting(INITIAL_WINDOW_SIZE, 1)) as client:
        client.gives_back = False
        stream = client.request("GET", "/", scene.host)
        client.until(lambda: any(got.kind == DATA and got.payload for got in client.seen), "DATA")
        same(len(client.answer(stream).body), 1, "bytes in a window of 1")
        client.frame(SETTINGS, 0, 0)
        client.until(lambda: client.acknowledged == 2, "the second acknowledgement")


@case("6.6", "PUSH_PROMISE of a client is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + client.block(scene.fields()))
        client.connection_error(PROTOCOL_ERROR)


@case("6.7", "PING is answered with the same payload")
def _(scene):
    with scene.connect() as client:
        client.alive()


@case("6.7", "the acknowledgement of a PING is not answered")
def _(scene):
    with scene.connect() as client:
        client.frame(PING, ACK, 0, b"answered")
        client.alive()
        same([got for got in client.seen if got.payload == b"answered"], [], "answers")


@case("6.7", "PING on a stream is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR)


@case("6.7", "PING of six bytes is FRAME_SIZE_ERROR")
def _(scene):
    _connection_error(scene, frame(PING, 0, 0, b"123456"), FRAME_SIZE_ERROR)


@case("6.8", "GOAWAY on a stream is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL_ERROR)


@case("6.8", "GOAWAY of four bytes is FRAME_SIZE_ERROR")
def _(scene):
    _connection_error(scene, frame(GOAWAY, 0, 0, b"\0" * 4), FRAME_SIZE_ERROR)


@case("6.8", "what is in progress is finished behind GOAWAY of the client")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, scene.fields("POST", "/echo"))
        client.data(stream, b"first, ")
        client.frame(GOAWAY, 0, 0, struct.pack(">LL", 0, NO_ERROR))
        client.data(stream, b"second", end_stream=True)
        same(client.response(stream).body, b"first, second", "the body")


@case("6.9", "WINDOW_UPDATE of 0 on the connection is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR)


@case("6.9", "WINDOW_UPDATE of 0 on a stream is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\0")
        client.stream_error(1, PROTOCOL_ERROR, statuses=())


@case("6.9", "WINDOW_UPDATE of three bytes is FRAME_SIZE_ERROR")
def _(scene):
    _connection_error(scene, frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR)


@case("6.9.1", "a connection's window above 2^31 - 1 is FLOW_CONTROL_ERROR")
def _(scene):
    _connection_error(scene, frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2, FLOW_CONTROL_ERROR)


@case("6.9.1", "a stream's window above 2^31 - 1 is FLOW_CONTROL_ERROR for the stream")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.send(frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff") * 2)
        client.stream_error(1, FLOW_CONTROL_ERROR, statuses=())


@case("6.9.1", "the server sends no more than a stream's window")
def _(scene):
    with scene.connect(setting(INITIAL_WINDOW_SIZE, 1000)) as client:
        client.gives_back = False
        stream = client.request("GET", "/bytes/100000", scene.host)
        client.until(lambda: len(client.answer(stream).body) >= 1000, "1000 bytes")
        client.alive()
        same(len(client.answer(stream).body), 1000, "bytes in a window of 1000")
        client.gives_back = True
        client.frame(WINDOW_UPDATE, 0, stream, struct.pack(">L", 100000))
        same(len(client.response(stream).body), 100000, "all bytes")


@case("6.9.1", "the server sends no more than the connection's window")
def _(scene):
    with scene.connect(setting(INITIAL_WINDOW_SIZE, 1 << 20)) as client:
        client.gives_back = False
        stream = client.request("GET", "/bytes/200000", scene.host)
        client.until(lambda: len(client.answer(stream).body) >= 65535, "65,535 bytes")
        client.alive()
        same(len(client.answer(stream).body), 65535, "bytes in the first window")
        scene_fields = scene.fields(path="/status/204")
        other = client.open()
        client.headers(other, scene_fields, end_stream=True)
        same(client.response(other).status, 204, "a response without a body goes on")
        client.frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", 1 << 20))
        same(len(client.response(stream).body), 200000, "all bytes")


@case("6.9.2", "SETTINGS_INITIAL_WINDOW_SIZE moves the windows of open streams")
def _(scene):
    with scene.connect(setting(INITIAL_WINDOW_SIZE, 0)) as client:
        client.gives_back = False
        stream = client.request("GET", "/", scene.host)
        client.head(stream)
        client.alive()
        same(client.answer(stream).body, b"", "the body in a window of 0")
        client.frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1))
        client.until(lambda: client.answer(stream).body, "a byte")
        client.alive()
        same(len(client.answer(stream).body), 1, "bytes in a window of 1")


@case("6.9.2", "a window may become negative")
def _(scene):
    with scene.connect(setting(INITIAL_WINDOW_SIZE, 3)) as client:
        client.gives_back = False
        stream = client.request("GET", "/", scene.host)
        client.until(lambda: len(client.answer(stream).body) == 3, "3 bytes")
        client.frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 2))
        client.frame(WINDOW_UPDATE, 0, stream, b"\0\0\0\2")
        client.until(lambda: len(client.answer(stream).body) == 4, "the fourth byte")
        client.alive()
        same(len(client.answer(stream).body), 4, "bytes")


@case("6.9.2", "windows above 2^31 - 1 by SETTINGS_INITIAL_WINDOW_SIZE are FLOW_CONTROL_ERROR")
def _(scene):
    with scene.connect(setting(INITIAL_WINDOW_SIZE, 10)) as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(WINDOW_UPDATE, 0, 1, struct.pack(">L", 0x7FFFFFFF - 10))
        client.frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1000))
        client.connection_error(FLOW_CONTROL_ERROR)


@case("6.9", "more DATA than the stream's window is FLOW_CONTROL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        window = client.peer_settings.get(INITIAL_WINDOW_SIZE, 65535)
        try:
            for _ in range(0, window + (2 << 20), 16384):
                client.data(1, b"x" * 16384)
        except (ConnectionResetError, BrokenPipeError):
            pass
        client.stream_error(1, FLOW_CONTROL_ERROR, statuses=())


@case("6.10", "CONTINUATION carries on a field block")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, scene.fields("GET", "/headers", ("x-cut", "fine")), end_stream=True, split=40)
        assert b'["x-cut", "fine"]' in client.response(stream).body, "the field"


@case("6.10", "CONTINUATION may be empty and may end with END_STREAM of HEADERS")
def _(scene):
    with scene.connect() as client:
        block = client.block(scene.fields())
        client.frame(HEADERS, END_STREAM, 1, block)
        client.frame(CONTINUATION, END_HEADERS, 1, b"")
        same(client.response(1).status, 200, "status")


@case("6.10", "DATA within a field block is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.frame(HEADERS, 0, 1, client.block(scene.fields("POST")))
        client.data(1, b"x")
        client.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION on stream 0 is PROTOCOL_ERROR")
def _(scene):
    _connection_error(scene, frame(CONTINUATION, END_HEADERS, 0, b""), PROTOCOL_ERROR)


@case("6.10", "CONTINUATION behind END_HEADERS is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.frame(CONTINUATION, END_HEADERS, 1, client.block([("x-late", "1")]))
        client.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION behind DATA is PROTOCOL_ERROR")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/hold"))
        client.data(1, b"x")
        client.frame(CONTINUATION, END_HEADERS, 1, client.block([("x-late", "1")]))
        client.connection_error(PROTOCOL_ERROR)


@case("7", "GOAWAY with an error code of nobody is taken")
def _(scene):
    with scene.connect() as client:
        client.frame(GOAWAY, 0, 0, struct.pack(">LL", 0, 0xFF))
        try:
            client.frame(PING, 0, 0, b"12345678")
            while client.step():
                if any(got.kind == PING for got in client.seen):
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass


# ---- 8: HTTP in frames

@case("8.1", "a second HEADERS without END_STREAM is malformed")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/echo"))
        client.headers(1, [("x-trailer", "1")])
        client.stream_error(1, PROTOCOL_ERROR, statuses=())


for _name, _more in (
    ("a field name in upper case", [("X-Upper", "1")]),
    ("a field name with a space", [("x name", "1")]),
    ("an empty field name", [("", "1")]),
    ("a field name with a colon", [("x:y", "1")]),
    ("a field value with a line feed", [("x-value", "a\nb")]),
    ("a field value with a carriage return", [("x-value", "a\rb")]),
    ("a field value with a NUL", [("x-value", "a\0b")]),
    ("an unknown pseudo-field", [(":unknown", "1")]),
    ("the pseudo-field of a response", [(":status", "200")]),
    ("connection", [("connection", "keep-alive")]),
    ("keep-alive", [("keep-alive", "timeout=5")]),
    ("proxy-connection", [("proxy-connection", "keep-alive")]),
    ("transfer-encoding", [("transfer-encoding", "chunked")]),
    ("upgrade", [("upgrade", "websocket")]),
    ("te that is not trailers", [("te", "trailers, deflate")]),
    ("a second :method", [(":method", "GET")]),
    ("a second :scheme", [(":scheme", "http")]),
    ("a second :path", [(":path", "/")]),
    ("a second :authority", [(":authority", "other.tunnel.test")]),
):
    @case("8.2", f"a request with {_name} is malformed")
    def _(scene, more=_more):
        _malformed(scene, scene.fields("GET", "/", *more))


@case("8.2", "te: trailers is taken")
def _(scene):
    with scene.connect() as client:
        same(client.response(client.request("GET", "/", scene.host, [("te", "trailers")])).status, 200, "status")


@case("8.3", "a pseudo-field behind another field is malformed")
def _(scene):
    fields = scene.fields()
    _malformed(scene, fields[:3] + [("x-first", "1")] + fields[3:])


@case("8.3", "a pseudo-field in trailers is malformed")
def _(scene):
    _malformed(scene, scene.fields("POST", "/measure"), b"x", [(":method", "GET")])


for _missing in (":method", ":scheme", ":path"):
    @case("8.3.1", f"a request without {_missing} is malformed")
    def _(scene, missing=_missing):
        _malformed(scene, [field for field in scene.fields() if field[0] != missing])


@case("8.3.1", "an empty :path is malformed")
def _(scene):
    _malformed(scene, scene.fields(path=""))


@case("8.3.1", "a :path that does not begin with a slash is malformed")
def _(scene):
    _malformed(scene, scene.fields(path="no-slash"))


@case("8.3.1", "a :path with a space or a control character is malformed")
def _(scene):
    for path in ("/a b", "/a\x00b", "/a\nb"):
        _malformed(scene, scene.fields(path=path))


@case("8.3.1", "host does where there is no :authority")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", scene.host)], end_stream=True)
        same(client.response(stream).status, 200, "status")


@case("8.3.1", "host that contradicts :authority is refused")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("GET", "/", ("host", "other.tunnel.test")), end_stream=True)
        client.stream_error(1, PROTOCOL_ERROR)


@case("8.3.1", "neither host nor :authority is refused")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields()[:3], end_stream=True)
        client.stream_error(1, PROTOCOL_ERROR)


@case("8.3.1", "userinfo in :authority is refused")
def _(scene):
    with scene.connect() as client:
        client.headers(1, [*scene.fields()[:3], (":authority", f"me@{scene.host}")], end_stream=True)
        client.stream_error(1, PROTOCOL_ERROR)


@case("8.3.1", "OPTIONS * is taken")
def _(scene):
    with scene.connect() as client:
        stream = client.request("OPTIONS", "*", scene.host)
        same(client.response(stream).status, 200, "status")


@case("8.1.1", "a content-length above the DATA is malformed")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/measure", ("content-length", "5")))
        client.data(1, b"four", end_stream=True)
        client.stream_error(1, PROTOCOL_ERROR)


@case("8.1.1", "a content-length below the DATA of several frames is malformed")
def _(scene):
    with scene.connect() as client:
        client.headers(1, scene.fields("POST", "/measure", ("content-length", "5")))
        client.data(1, b"four")
        client.data(1, b"more", end_stream=True)
        client.stream_error(1, PROTOCOL_ERROR)


@case("8.1.1", "a content-length without a body is malformed")
def _(scene):
    _malformed(scene, scene.fields("POST", "/measure", ("content-length", "5")))


@case("8.1.1", "two content-lengths that differ are malformed")
def _(scene):
    _malformed(scene, scene.fields("POST", "/measure", ("content-length", "4"), ("content-length", "5")), b"four")


@case("8.2.3", "cookies in several fields become one")
def _(scene):
    with scene.connect() as client:
        stream = client.request("GET", "/headers", scene.host, [("cookie", "a=1"), ("x-between", "1"), ("cookie", "b=2"), ("cookie", "c=3")])
        body = client.response(stream).body
        same(body.count(b'"cookie"'), 1, "cookie fields that the service saw")
        assert b"a=1; b=2; c=3" in body, body


@case("8.5", "CONNECT without a protocol is not served")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, [(":method", "CONNECT"), (":authority", scene.host)])
        client.stream_error(stream, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, CONNECT_ERROR, statuses=(400, 403, 404, 405, 501))
        client.alive()


@case("8441.3", "SETTINGS_ENABLE_CONNECT_PROTOCOL is 1")
def _(scene):
    with scene.connect() as client:
        same(client.peer_settings.get(ENABLE_CONNECT_PROTOCOL), 1, "the setting")


@case("8441.4", ":protocol in a GET is malformed")
def _(scene):
    with scene.connect() as client:
        stream = client.open()
        client.headers(stream, [*scene.fields(), (":protocol", "websocket")], end_stream=True)
        client.stream_error(stream, PROTOCOL_ERROR)


# ---- RFC 7541

def _bad_block(scene, suffix, prefix=b""):
    with scene.connect() as client:
        client.frame(HEADERS, END_STREAM | END_HEADERS, 1, prefix + client.block(scene.fields()) + suffix)
        client.connection_error(COMPRESSION_ERROR)


for _name, _suffix in (
    ("an index beyond both tables", b"\xf0"),
    ("an index beyond both tables for a name", b"\x7f\x50\x01x"),
    ("index 0", b"\x80"),
    ("a size update behind fields", b"\x21"),
    ("an integer without an end", b"\xff" + b"\xff" * 12),
    ("a text that is longer than the block", b"\x00\x05ab"),
    ("Huffman padding of eight bits", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
    ("Huffman padding of zeros", b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
    ("Huffman EOS", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\xff\xff\xff\xff"),
):
    @case("7541", f"{_name} is COMPRESSION_ERROR")
    def _(scene, suffix=_suffix):
        _bad_block(scene, suffix)


@case("7541", "a size update above SETTINGS_HEADER_TABLE_SIZE is COMPRESSION_ERROR")
def _(scene):
    _bad_block(scene, b"", prefix=b"\x3f\xe1\xff\x03")


@case("7541", "the dynamic table is the same on both sides after many changes")
def _(scene):
    import hpack
    with scene.connect() as client:
        encoder = hpack.Encoder()
        for number in range(300):
            if number % 50 == 49:
                encoder.header_table_size = (0, 100, 4096)[number // 50 % 3]
            block = encoder.encode([*scene.fields("GET", "/headers"), ("x-number", str(number)), ("x-long", "v" * (number * 7 % 900)), ("x-same", "s")])
            stream = client.open()
            client.frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
            assert f'["x-number", "{number}"]'.encode() in client.response(stream).body, f"request {number}"


@case("7541", "a request in Huffman code and static indices is understood")
def _(scene):
    import hpack
    with scene.connect() as client:
        stream = client.open()
        client.frame(HEADERS, END_STREAM | END_HEADERS, stream, hpack.Encoder().encode(scene.fields("GET", "/headers", ("x-packed", "caf\xe9")), huffman=True))
        same(client.response(stream).status, 200, "status")
