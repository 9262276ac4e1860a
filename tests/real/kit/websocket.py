"""RFC 6455 by hand: the service's side on an Exchange of the upstream, and frames for any client."""

import base64
import hashlib
import os
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()


def frame(opcode, payload=b"", masked=False, final=True):
    """One frame; clients mask theirs."""
    size, bit = len(payload), 0x80 if masked else 0
    head = bytes(((0x80 if final else 0) | opcode,))
    if size < 126:
        head += bytes((bit | size,))
    elif size < 1 << 16:
        head += bytes((bit | 126,)) + struct.pack(">H", size)
    else:
        head += bytes((bit | 127,)) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def parse(octets):
    """The first frame in `octets` as (opcode, payload, rest), or None if it is not there to its end."""
    if len(octets) < 2:
        return None
    size, at = octets[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(octets) < 2 + width:
            return None
        size, at = int.from_bytes(octets[2:2 + width], "big"), 2 + width
    mask = None
    if octets[1] & 0x80:
        mask, at = octets[at:at + 4], at + 4
    if len(octets) < at + size:
        return None
    payload = octets[at:at + size]
    return octets[0] & 0x0F, _masked(payload, mask) if mask else payload, octets[at + size:]


class Accepted:
    """A WebSocket that the service has taken; `read` gives (opcode, payload), or None at the end of the connection."""

    def __init__(self, exchange, protocol=None):
        exchange.keep_alive = False
        self.exchange, self.buffer = exchange, b""
        fields = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade",
                  f"sec-websocket-accept: {accept_of(exchange.values('sec-websocket-key')[0])}"]
        if protocol:
            fields.append(f"sec-websocket-protocol: {protocol}")
        exchange.send("\r\n".join([*fields, "", ""]).encode())

    def send(self, opcode, payload=b""):
        self.exchange.send(frame(opcode, payload))

    def read(self):
        got = self.read_fragment()
        return got and got[:2]

    def read_fragment(self):
        """(opcode, payload, whether it is the last of its message)"""
        while (parsed := parse(self.buffer)) is None:
            piece = self.exchange.reader.read1(65536)
            if not piece:
                return None
            self.buffer += piece
        final = bool(self.buffer[0] & 0x80)
        opcode, payload, self.buffer = parsed
        return opcode, payload, final


def _masked(payload, mask):
    whole = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big")
    return whole.to_bytes(len(payload), "big")
