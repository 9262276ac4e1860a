#!/usr/bin/env python3
"""A small agent for the indraNet tunnel, over WebSocket.

It is written from docs/protocol.md and shares no code with the Rust agent. Read it from top to bottom: frames,
signatures, one exchange, one link, and the loop that keeps a link up. There is one thread per link, one per exchange,
and one more per exchange for a request body.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.client
import importlib
import os
import pathlib
import random
import secrets
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

from grpc_tools import protoc
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect as open_websocket

PROTO_ROOT = pathlib.Path(__file__).resolve().parents[2] / "proto"
INITIAL_WINDOW = 64 * 1024   # credit that we grant each request body
GIVE_BACK = 16 * 1024        # consumed bytes are saved up to this many, so that a grant is worth its frame
MAX_CONCURRENT = 64          # each exchange costs threads; the gateway answers 503 beyond this
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
INSTANCE_ID = str(uuid.uuid4())  # one per process: a link of the same process replaces its older one


# ---- frames: messages of the .proto, each behind its length as a varint

def compile_proto():
    """The message classes, made from the .proto itself: there is no copy that could fall behind."""
    with tempfile.TemporaryDirectory() as out:
        name = "indranet/tunnel/v1/tunnel.proto"
        if protoc.main(["protoc", f"-I{PROTO_ROOT}", f"--python_out={out}", name]) != 0:
            sys.exit("cannot compile tunnel.proto")
        sys.path.insert(0, out)
        return importlib.import_module("indranet.tunnel.v1.tunnel_pb2")


pb = compile_proto()


def pack(frame):
    octets = frame.SerializeToString()
    prefix, length = bytearray(), len(octets)
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(prefix) + bytes([length]) + octets


def unpack(message):
    at = 0
    while at < len(message):
        length = shift = 0
        while True:
            octet = message[at]
            at, length, shift = at + 1, length | (octet & 0x7F) << shift, shift + 7
            if octet <= 0x7F:
                break
        if at + length > len(message):
            raise ValueError("a length points past the end of its message")
        yield pb.GatewayFrame.FromString(message[at:at + length])
        at += length


# ---- signatures: HMAC-SHA256 over a transcript in which every variable part stands behind its length

class Credential:
    """`itk_<id>_<secret>`: the id travels, the secret never does."""

    def __init__(self, text):
        prefix, name, secret = text.strip().split("_", 2)
        self.token = f"{prefix}_{name}"
        self.secret = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
        if prefix != "itk" or len(self.secret) != 32:
            raise ValueError("not a token")

    def sign(self, transcript):
        return hmac.new(self.secret, transcript, hashlib.sha256).digest()


def lp(octets):
    return struct.pack(">I", len(octets)) + octets


def connect_transcript(request):
    features = b"".join(struct.pack(">i", feature) for feature in sorted(request.features))
    return (b"indranet/v1/connect\0" + lp(request.audience.encode()) + lp(request.agent_id.encode())
            + lp(request.token.encode()) + struct.pack(">q", request.timestamp) + lp(request.nonce)
            + struct.pack(">I", request.protocol_version) + lp(features) + struct.pack(">I", request.initial_window)
            + lp(request.instance_id.encode()) + lp(b""))


def accept_transcript(nonce, accepted):
    return b"indranet/v1/accept\0" + lp(nonce) + lp(accepted.session_id.encode()) + lp(accepted.gateway_id.encode())


# ---- one exchange: a request of the gateway's, answered by the local service

class Over(Exception):
    """The exchange is over already: there is nobody to tell."""


class Exchange:
    """Both halves of one request. The link's thread calls the `on_` methods, which never wait; the exchange's own
    threads wait on `changed`."""

    def __init__(self, link, request):
        self.link, self.request, self.id = link, request, request.id
        self.changed = threading.Condition()
        self.chunks = [request.body] if request.body else []
        self.request_ended = request.end_stream
        self.granted = INITIAL_WINDOW - len(request.body)  # what the gateway may still send
        self.owed = 0                                      # what the service took and the gateway has not got back
        self.credit = link.accepted.initial_window + request.window  # what we may still send
        self.over = False
        self.socket = None

    # -- from the link

    def on_data(self, data):
        with self.changed:
            self.granted -= len(data.chunk)
            if self.granted < 0:
                return self.refuse(pb.TunnelClose.REASON_FLOW_CONTROL, "more bytes than credit")
            if data.chunk:
                self.chunks.append(data.chunk)
            self.request_ended |= data.end_stream
            self.changed.notify_all()

    def on_close(self, close):
        if close.reason == pb.TunnelClose.REASON_DONE:  # the request ends, with trailers that http.client cannot send
            self.on_data(pb.TunnelData(end_stream=True))
        else:
            self.end()

    def on_window(self, window):
        with self.changed:
            self.credit += window.credit
            self.changed.notify_all()

    def end(self):
        """Ends both halves, and wakes whoever waits: for frames, or for the service."""
        with self.changed:
            self.over = True
            self.changed.notify_all()
            if self.socket:
                try:
                    self.socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it was closed before

    def refuse(self, reason, message):
        self.link.close_exchange(self.id, reason, message)
        self.end()

    # -- towards the local service

    def run(self):
        """Carries the exchange to its end, and tells the gateway if that is not a good one."""
        service = http.client.HTTPConnection(*self.link.options.target)
        try:
            service.connect()
        except OSError as error:
            self.fail(pb.TunnelClose.REASON_UPSTREAM_CONNECT, "the local service cannot be reached", error)
            return self.link.forget(self)
        try:
            with self.changed:
                self.socket = service.sock  # http.client itself forgets it when a response ends with its connection
                if self.over:
                    raise Over
            self.forward(service)
        except Over:
            pass
        except (ValueError, http.client.InvalidURL) as error:
            self.fail(pb.TunnelClose.REASON_PROTOCOL, "http.client does not send such a request", error)
        except (OSError, http.client.HTTPException) as error:
            self.fail(pb.TunnelClose.REASON_UPSTREAM_RESET, "the local service broke off", error)
        finally:
            self.end()
            service.close()
            self.link.forget(self)

    def fail(self, reason, message, error):
        """Addresses and the system's words stay here; the gateway gets a fixed text."""
        if not self.over:
            print(f"{self.id} {self.request.method}: {message}: {error!r}", file=sys.stderr)
            self.refuse(reason, message)

    def forward(self, service):
        framing = self.send_head(service)
        if framing:
            # Beside the response: a service may answer while it still reads.
            threading.Thread(target=self.send_body, args=[framing], daemon=True).start()
        self.send_response(service.getresponse())
        if not self.request_ended:  # nobody needs the rest of it
            self.link.close_exchange(self.id, pb.TunnelClose.REASON_STOP_SENDING, "")

    def send_head(self, service):
        """Sends all but a body, and says how that is framed: by its `length`, `chunked`, or `None` without a body."""
        request = self.request
        service.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        service.putheader("host", request.authority)
        service.putheader("x-request-id", self.id)
        service.putheader("x-forwarded-for", request.client_addr.rpartition(":")[0].strip("[]"))
        service.putheader("x-forwarded-proto", request.scheme)
        service.putheader("x-forwarded-host", request.authority)
        for header in request.headers:
            if header.name not in HOP_BY_HOP:
                service.putheader(header.name, header.value)
        length = request.content_length if request.HasField("content_length") else None
        if length is None and request.end_stream and request.body:
            length = len(request.body)
        if length is not None:
            service.putheader("content-length", str(length))
        elif not request.end_stream:
            service.putheader("transfer-encoding", "chunked")
        service.endheaders()
        if request.end_stream and not request.body:
            return None
        return "length" if length is not None else "chunked"

    def send_body(self, framing):
        try:
            while chunk := self.take_chunk():
                if framing == "chunked":
                    self.socket.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                else:
                    self.socket.sendall(chunk)
                self.give_back(len(chunk))
            if framing == "chunked":
                self.socket.sendall(b"0\r\n\r\n")
        except (Over, OSError):
            pass  # whoever reads the response learns what became of the connection

    def take_chunk(self):
        """The next chunk of the request body; `None` at its end."""
        with self.changed:
            self.changed.wait_for(lambda: self.chunks or self.request_ended or self.over)
            if self.over:
                raise Over
            return self.chunks.pop(0) if self.chunks else None

    def give_back(self, count):
        with self.changed:
            self.owed += count
            if self.owed < GIVE_BACK or self.request_ended:
                return
            credit, self.owed = self.owed, 0
            self.granted += credit
        self.link.send(window=pb.TunnelWindow(id=self.id, credit=credit))

    def send_response(self, response):
        fields = [(name.lower(), value) for name, value in response.getheaders()]
        named = {option.strip().lower() for name, value in fields if name == "connection"
                 for option in value.split(",")}
        lengths = {value for name, value in fields if name == "content-length"}
        head = pb.TunnelResponse(
            id=self.id, status=response.status, version=pb.HTTP_VERSION_11, headers=[
                pb.Header(name=name, value=value.encode("latin-1")) for name, value in fields
                if name not in HOP_BY_HOP | named | {"content-length", "te"}])
        if len(lengths) == 1 and not response.chunked:
            head.content_length = int(lengths.pop())
        head.end_stream = response.length == 0  # HEAD, 204, 304 and bodies that are empty
        self.link.send(response=head)
        if head.end_stream:
            return
        while chunk := response.read1(self.link.accepted.max_chunk):
            while chunk:
                count = self.spend(len(chunk))
                self.link.send(data=pb.TunnelData(id=self.id, chunk=chunk[:count]))
                chunk = chunk[count:]
        if response.length:  # read1 takes an early end of the connection for the end of the body
            raise http.client.IncompleteRead(b"", response.length)
        if self.over:        # and would take our own shutdown of the socket for one as well
            raise Over
        self.link.send(data=pb.TunnelData(id=self.id, end_stream=True))

    def spend(self, wanted):
        """Waits for credit, and says how many bytes may go now."""
        with self.changed:
            self.changed.wait_for(lambda: self.credit or self.over)
            if self.over:
                raise Over
            count = min(wanted, self.credit)
            self.credit -= count
            return count


# ---- one link

class Refused(Exception):
    """The gateway's ConnectError."""

    def __init__(self, error):
        super().__init__(f"{pb.ConnectError.Code.Name(error.code)}: {error.message}")
        self.error = error


class Link:
    """A WebSocket that the gateway accepted as this agent's."""

    def __init__(self, options, clock_offset=0):
        self.options = options
        self.exchanges, self.lock = {}, threading.Lock()
        self.draining = False
        self.leave = threading.Event()  # set once another link is wanted
        self.pause = None               # seconds to wait at most before that, if the gateway said so
        self.reason = "the gateway closed the link"
        with contextlib.ExitStack() as opened:
            self.websocket = opened.enter_context(open_websocket(
                options.gateway, subprotocols=["indranet.tunnel.v1"], compression=None, open_timeout=5, close_timeout=2,
                ping_interval=None, max_size=1 << 20))
            self.authenticate(clock_offset)
            self.opened = opened.pop_all()  # closed by `run`

    def authenticate(self, clock_offset):
        credential = self.options.credential
        request = pb.ConnectRequest(
            agent_id=self.options.id, token=credential.token, timestamp=int(time.time() * 1000) + clock_offset,
            nonce=secrets.token_bytes(16), protocol_version=1, features=[pb.FEATURE_DRAIN],
            initial_window=INITIAL_WINDOW, max_concurrent=MAX_CONCURRENT, instance_id=INSTANCE_ID,
            agent_version="python-example",
            audience=urllib.parse.urlsplit(self.options.gateway).hostname)
        request.signature = credential.sign(connect_transcript(request))
        self.send(connect=request)
        self.backlog = list(unpack(self.websocket.recv(timeout=5)))
        first = self.backlog.pop(0)
        if first.HasField("error"):
            raise Refused(first.error)
        self.accepted = first.accepted
        proof = credential.sign(accept_transcript(request.nonce, self.accepted))
        if not hmac.compare_digest(proof, self.accepted.server_signature):
            raise WebSocketException("the gateway does not know this token's secret")

    def send(self, **frame):
        """Sends one frame in a message of its own. May be called from any thread. A link that is gone is no matter for
        the sender: the link's own thread ends every exchange."""
        try:
            self.websocket.send(pack(pb.AgentFrame(**frame)))
        except ConnectionClosed:
            pass

    def close_exchange(self, id, reason, message):
        self.send(close=pb.TunnelClose(id=id, reason=reason, message=message))

    def forget(self, exchange):
        with self.lock:
            self.exchanges.pop(exchange.id, None)

    def run(self):
        """Reads frames until the link ends. Nothing in here waits for an exchange."""
        try:
            with self.opened:
                for frame in self.backlog:
                    self.on_frame(frame)
                self.read()
        except (ConnectionClosed, ValueError, OSError) as error:
            self.reason = str(error)
        finally:
            with self.lock:
                exchanges = list(self.exchanges.values())
            for exchange in exchanges:
                exchange.end()
            self.leave.set()

    def read(self):
        interval = self.accepted.heartbeat_interval_ms / 1000 * random.uniform(0.8, 1.2)
        pinged = False
        while True:
            try:
                message = self.websocket.recv(timeout=self.accepted.heartbeat_timeout_ms / 1000 if pinged else interval)
            except TimeoutError:
                if pinged:
                    raise ValueError("no heartbeat from the gateway") from None
                self.send(control=pb.ControlMessage(type=pb.ControlMessage.PING, payload=bytes(8)))
                pinged = True
                continue
            pinged = False  # any frame is a sign of life
            for frame in unpack(message):
                self.on_frame(frame)

    def on_frame(self, frame):
        kind = frame.WhichOneof("frame")
        if kind == "request":
            self.on_request(frame.request)
        elif kind == "control":
            if frame.control.type == pb.ControlMessage.PING:
                self.send(control=pb.ControlMessage(type=pb.ControlMessage.PONG, payload=frame.control.payload))
        elif kind == "drain":
            if frame.drain.reason != pb.Drain.REASON_REPLACED:
                self.pause = frame.drain.reconnect_after_ms / 1000
                self.leave.set()
        elif kind in ("data", "close", "window"):
            message = getattr(frame, kind)
            if exchange := self.exchanges.get(message.id):  # or it is over: races are normal
                getattr(exchange, f"on_{kind}")(message)

    def on_request(self, request):
        with self.lock:
            refused = self.draining or len(self.exchanges) >= self.accepted.max_concurrent
            if not refused:
                exchange = self.exchanges[request.id] = Exchange(self, request)
        if refused:
            self.close_exchange(request.id, pb.TunnelClose.REASON_REFUSED, "not now")
        else:
            threading.Thread(target=exchange.run, daemon=True).start()

    def farewell(self, patience=30):
        """Lets requests in progress end, and then the link."""
        end = time.monotonic() + patience
        self.send(drain=pb.Drain(reason=pb.Drain.REASON_SHUTDOWN, deadline_ms=patience * 1000))
        time.sleep(1)  # the gateway sends no more requests once it has read that, but some are on their way
        self.draining = True
        while self.exchanges and time.monotonic() < end:
            time.sleep(0.05)
        self.websocket.close(1001)


# ---- the loop

def serve(options):
    failures, clock_offset, was_online, link = 0, 0, False, None
    try:
        while True:
            try:
                link = Link(options, clock_offset)
                print("\n".join(link.accepted.public_urls), flush=True)
                failures, was_online = 0, True
                threading.Thread(target=link.run, daemon=True).start()
                link.leave.wait()
                if link.pause is not None:  # drained: the old link goes on with what is in progress
                    time.sleep(random.uniform(0, link.pause))
                    continue
                reason = link.reason
            except Refused as refused:
                reason = str(refused)
                if refused.error.code == pb.ConnectError.CODE_CLOCK_SKEW and clock_offset == 0:
                    clock_offset = refused.error.server_time - int(time.time() * 1000)
                elif not refused.error.retryable and not was_online:
                    sys.exit(f"refused: {reason}")
                elif not refused.error.retryable:
                    time.sleep(60)
            except (OSError, ValueError, WebSocketException) as error:
                reason = str(error)
            print(f"offline: {reason}", file=sys.stderr)
            time.sleep(random.uniform(0, min(30, 0.25 * 2 ** failures)))
            failures = min(failures + 1, 10)
    except KeyboardInterrupt:
        if link:
            link.farewell()


def host_and_port(text):
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


def main():
    parser = argparse.ArgumentParser(description="Make a local HTTP service reachable; INDRANET_TOKEN holds the token")
    parser.add_argument("target", type=host_and_port, help="the local service: PORT or HOST:PORT")
    parser.add_argument("--gateway", default="ws://127.0.0.1:8080", help="where to dial [default: %(default)s]")
    parser.add_argument("--id", required=True, help="the agent id")
    options = parser.parse_args()
    try:
        options.credential = Credential(os.environ["INDRANET_TOKEN"])
    except (KeyError, ValueError):
        sys.exit("INDRANET_TOKEN must hold what `gateway-tunnel token new` printed")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serve(options)


if __name__ == "__main__":
    main()
