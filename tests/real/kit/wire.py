"""Agents written by hand: the wire contract from the .proto, signatures by hmac, and both transports without our Rust."""

import atexit
import base64
import functools
import hashlib
import hmac
import importlib
import os
import pathlib
import queue
import secrets
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
import uuid

from .waiting import Skip

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto" / "indranet" / "tunnel" / "v1" / "tunnel.proto"
WS_PATH = "/"
WS_PROTOCOL = "indranet.tunnel.v1"
ATTACH = "/indranet.tunnel.v1.Tunnel/Attach"

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # or grpcio prints to our standard error


@functools.cache
def messages():
    """The Python classes of tunnel.proto, compiled now: there is no copy to fall behind."""
    try:
        from grpc_tools import protoc
    except ImportError:
        raise Skip("grpcio-tools is not installed (requirements.txt)") from None
    out = tempfile.mkdtemp(prefix="indranet-real-proto-")
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    failed = protoc.main(["protoc", f"-I{PROTO.parents[3]}", f"--python_out={out}", str(PROTO.relative_to(PROTO.parents[3]))])
    assert not failed, "protoc refused tunnel.proto"
    sys.path.insert(0, out)
    return importlib.import_module("indranet.tunnel.v1.tunnel_pb2")


# ---- signatures

def secret_of(credential):
    """The HMAC key: what stands behind the second underscore, base64url without padding."""
    text = credential.split("_", 2)[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def with_secret(credential, secret):
    """The same token with another secret."""
    return credential[:-43] + base64.urlsafe_b64encode(secret).decode().rstrip("=")


def token_of(credential):
    """The half that travels: `itk_<id>`."""
    return "_".join(credential.split("_", 2)[:2])


def connect_transcript(request, audience, binding=b""):
    """What an agent signs (PROTOCOL, "The signature")."""
    features = b"".join(struct.pack(">I", feature) for feature in sorted(request.features))
    return (b"indranet/v1/connect\0" + _lp(audience.encode()) + _lp(request.agent_id.encode()) + _lp(request.token.encode())
            + struct.pack(">q", request.timestamp) + _lp(request.nonce) + struct.pack(">I", request.protocol_version)
            + _lp(features) + struct.pack(">I", request.initial_window) + _lp(request.instance_id.encode()) + _lp(binding))


def accept_transcript(nonce, session_id, gateway_id):
    """What a gateway signs."""
    return b"indranet/v1/accept\0" + _lp(nonce) + _lp(session_id.encode()) + _lp(gateway_id.encode())


def sign(secret, transcript):
    return hmac.new(secret, transcript, hashlib.sha256).digest()


def signed_connect(credential, agent_id, audience="127.0.0.1", age=0.0, **fields):
    """A ConnectRequest as a right agent makes it, `age` seconds old; `fields` overrides before signing."""
    pb = messages()
    request = pb.ConnectRequest(
        agent_id=agent_id, token=token_of(credential), timestamp=int((time.time() - age) * 1000), nonce=secrets.token_bytes(16),
        protocol_version=1, features=[pb.FEATURE_TRAILERS, pb.FEATURE_DRAIN], initial_window=65536,
        instance_id=str(uuid.uuid4()), agent_version="by hand", audience=audience)
    for name, value in fields.items():
        setattr(request, name, value)
    request.signature = sign(secret_of(credential), connect_transcript(request, audience))
    return request


def _lp(octets):
    return struct.pack(">I", len(octets)) + octets


# ---- links

class LinkClosed(Exception):
    """The gateway ended the link; `code` is a gRPC status name or a WebSocket close code."""

    def __init__(self, code):
        super().__init__(f"the gateway closed the link: {code}")
        self.code = code


class HandAgent:
    """Sends any frame at any time; answers PING by itself, because otherwise every check would have to."""

    def __init__(self, link):
        self.link = link
        self.windows = []

    def send(self, **frame):
        self.link.send(messages().AgentFrame(**frame))

    def connect(self, credential, agent_id, **options):
        """Sends a signed ConnectRequest and returns the gateway's first frame."""
        request = signed_connect(credential, agent_id, **options)
        self.send(connect=request)
        frame = self.link.receive(5)
        if frame.WhichOneof("frame") == "accepted":
            proof = sign(secret_of(credential), accept_transcript(request.nonce, frame.accepted.session_id, frame.accepted.gateway_id))
            assert frame.accepted.server_signature == proof, "the gateway's own signature is wrong"
        return frame

    def expect(self, kind, within=5.0):
        """The next frame of a kind, skipping windows and pings, and what is said of older requests before a new one."""
        end = time.monotonic() + within
        pb = messages()
        while True:
            frame = self.link.receive(max(0.0, end - time.monotonic()))
            which = frame.WhichOneof("frame")
            if which == kind:
                return getattr(frame, which)
            if which == "window":
                self.windows.append(frame.window)
            elif which == "control" and frame.control.type == pb.ControlMessage.PING:
                self.send(control=pb.ControlMessage(type=pb.ControlMessage.PONG, payload=frame.control.payload))
            elif which != "control" and (which, kind) != ("close", "request"):
                raise AssertionError(f"expected a {kind} frame, got {which}: {str(frame)[:200]}")

    def respond(self, request, status=200, body=b"", headers=(), end=True, **fields):
        """A TunnelResponse for a TunnelRequest."""
        pb = messages()
        self.send(response=pb.TunnelResponse(
            id=request.id, status=status, headers=[pb.Header(name=name, value=value) for name, value in headers], body=body,
            end_stream=end, version=pb.HTTP_VERSION_11, **fields))

    def end_of_link(self, within=5.0):
        """Waits for the gateway to end the link and returns the code."""
        try:
            while True:
                self.link.receive(within)
        except LinkClosed as closed:
            return closed.code

    def close(self):
        self.link.close()


def hand_agent(gateway):
    """An agent by hand on the transport under test."""
    messages()
    return HandAgent({"grpc": GrpcLink, "ws": WsLink}[gateway.world.transport](gateway.link_port))


class _Inbox:
    """Frames as they come in, then the reason why no more will."""

    def __init__(self):
        self._queue = queue.Queue()
        self._closed = None

    def put(self, item):
        self._queue.put(item)

    def get(self, within):
        if self._closed:
            raise LinkClosed(self._closed)
        try:
            item = self._queue.get(timeout=max(within, 0.001))
        except queue.Empty:
            raise AssertionError("no frame from the gateway in time") from None
        if isinstance(item, LinkClosed):
            self._closed = item.code
            raise item
        return item


class GrpcLink:
    """Tunnel.Attach through grpcio, Google's own gRPC."""

    def __init__(self, port):
        grpc, self._channel = _channel(port)
        pb = messages()
        self._out, self._inbox = queue.Queue(), _Inbox()
        attach = self._channel.stream_stream(ATTACH, request_serializer=lambda frame: frame if isinstance(frame, bytes)
                                             else frame.SerializeToString(), response_deserializer=pb.GatewayFrame.FromString)
        self._call = attach(iter(self._out.get, None))

        def read():
            try:
                for frame in self._call:
                    self._inbox.put(frame)
                self._inbox.put(LinkClosed("OK"))
            except grpc.RpcError as error:
                self._inbox.put(LinkClosed(error.code().name))

        threading.Thread(target=read, daemon=True).start()

    def send(self, frame):
        self._out.put(frame)

    def receive(self, within):
        return self._inbox.get(within)

    def close(self):
        """Without a goodbye."""
        self._out.put(None)
        self._call.cancel()
        self._channel.close()


def ask(port, method, request):
    """One message up, one down, both as raw bytes; a gRPC error raises."""
    _, channel = _channel(port)
    with channel:
        return next(channel.stream_stream(method)(iter([request]), timeout=5))


def _channel(port):
    """grpcio, and a channel of it that knows no proxy."""
    try:
        import grpc
    except ImportError:
        raise Skip("grpcio is not installed (requirements.txt)") from None
    return grpc, grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])


class WsLink:
    """The WebSocket protocol (RFC 6455), client side, by hand."""

    def __init__(self, port, path=WS_PATH, headers=(), protocol=WS_PROTOCOL, source=None):
        self._inbox = _Inbox()
        self._lock = threading.Lock()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=source and (source, 0))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        self._reader = self.socket.makefile("rb")
        self.status = int(self._reader.readline().split()[1])
        self.headers = {}
        while line := self._reader.readline().rstrip(b"\r\n"):
            name, value = line.decode("latin-1").split(":", 1)
            self.headers[name.lower()] = value.strip()
        if self.status != 101:
            raise LinkClosed(self.status)
        proof = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        assert self.headers.get("sec-websocket-accept") == proof, "Sec-WebSocket-Accept is wrong"
        self.socket.settimeout(None)
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, frame):
        octets = frame if isinstance(frame, bytes) else frame.SerializeToString()
        self.send_message(_varint(len(octets)) + octets)

    def send_message(self, payload, opcode=2, final=True, masked=True):
        mask = secrets.token_bytes(4)
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        bit = 0x80 if masked else 0
        head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack(">H", size) if size < 65536 \
            else bytes([bit | 127]) + struct.pack(">Q", size)
        if masked:
            pad = (mask * (size // 4 + 1))[:size]
            payload = mask + (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
        with self._lock:
            try:
                self.socket.sendall(head + payload)
            except OSError:
                pass  # the gateway has hung up; the reader tells how

    def receive(self, within):
        return self._inbox.get(within)

    def close(self):
        """Without a goodbye."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _read(self):
        pb = messages()
        message = b""
        try:
            while True:
                first, second = self._reader.read(2)
                size = second & 0x7F
                if size == 126:
                    size, = struct.unpack(">H", self._reader.read(2))
                elif size == 127:
                    size, = struct.unpack(">Q", self._reader.read(8))
                payload = self._reader.read(size)
                opcode = first & 0x0F
                if opcode == 8:
                    self._inbox.put(LinkClosed(struct.unpack(">H", payload[:2])[0] if payload else 1005))
                    return
                if opcode == 9:
                    self.send_message(payload, opcode=10)
                elif opcode in (0, 2):
                    message += payload
                    if first & 0x80:
                        for frame in _delimited(message):
                            self._inbox.put(pb.GatewayFrame.FromString(frame))
                        message = b""
        except (OSError, ValueError):
            self._inbox.put(LinkClosed("cut"))


def _varint(number):
    octets = b""
    while number > 0x7F:
        octets += bytes([number & 0x7F | 0x80])
        number >>= 7
    return octets + bytes([number])


def _delimited(message):
    """The frames of one WebSocket message."""
    position = 0
    while position < len(message):
        size = shift = 0
        while True:
            octet = message[position]
            position += 1
            size |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        yield message[position:position + size]
        position += size
