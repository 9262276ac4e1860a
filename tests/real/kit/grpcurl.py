"""The real grpcurl, typed by hand."""

import base64
import json
import subprocess

from .waiting import until
from .world import require


def grpcurl(world, gateway, *arguments, data=None):
    """Runs grpcurl to its end; `data` is the request as a dictionary."""
    options = ["-plaintext"] + (["-d", json.dumps(data)] if data is not None else [])
    return world.run(require("grpcurl"), *options, f"127.0.0.1:{gateway.grpc}", *arguments, limit=20)


class TypedAttach:
    """`grpcurl -d @ ... Attach`: every line that is typed is a frame, every JSON object printed is one."""

    def __init__(self, world, gateway):
        self.process = world.start("grpcurl", [require("grpcurl"), "-plaintext", "-d", "@", f"127.0.0.1:{gateway.grpc}",
                                               "indranet.tunnel.v1.Tunnel/Attach"], stdin=subprocess.PIPE)
        self._taken = 0

    def type(self, frame):
        self.process.child.stdin.write(json.dumps(frame).encode() + b"\n")
        self.process.child.stdin.flush()

    def end_of_input(self):
        self.process.child.stdin.close()

    def frames(self):
        """Everything printed so far."""
        text, found, decoder = self.process.stdout(), [], json.JSONDecoder()
        position = 0
        while position < len(text):
            if text[position].isspace():
                position += 1
                continue
            try:
                frame, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError:
                break  # not printed to its end yet
            found.append(frame)
        return found

    def next(self, kind, within=5.0):
        """The next frame of a kind, skipping others."""
        def taken():
            for frame in self.frames()[self._taken:]:
                self._taken += 1
                if kind in frame:
                    return frame[kind] or {"empty": True}
            return None if self.process.running() else "gone"

        found = until(taken, f"grpcurl prints a frame with {kind!r}", within)
        assert found != "gone", f"grpcurl ended before a frame with {kind!r}: {self.process.log()[-400:]}"
        return found


def base64_of(octets):
    return base64.b64encode(octets if isinstance(octets, bytes) else octets.encode()).decode()
