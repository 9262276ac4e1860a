"""Many introductions from one address, in a process of its own: `guesses.py PORT TRANSPORT SOURCE COUNT` prints JSON.

Each is signed with a wrong secret and goes over a connection of its own, as somebody sends them who tries what is answered. The
credential comes in GUESSED."""

import collections
import json
import os
import pathlib
import sys
import threading

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from kit.http2 import Http2
from kit.wire import ATTACH, LinkClosed, WsLink, messages, signed_connect

AT_A_TIME = 16


def guesses(world, gateway, credential, source, count):
    """Starts this file as a process; its outcome is JSON on standard output."""
    return world.start("guesses", [sys.executable, __file__, str(gateway.link_port), world.transport, source, str(count)], {"GUESSED": credential})


def answer(port, transport, source, request):
    """What the gateway answers to one introduction from `source`: a ConnectError, or None if it hung up."""
    return {"grpc": _over_grpc, "ws": _over_websocket}[transport](port, source, messages().AgentFrame(connect=request))


def _over_grpc(port, source, first):
    octets = first.SerializeToString()
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    with Http2(port, source=source) as link:
        stream = link.request("POST", ATTACH, f"127.0.0.1:{port}", fields, b"\0" + len(octets).to_bytes(4, "big") + octets)
        body = link.response(stream).body
    return messages().GatewayFrame.FromString(body[5:5 + int.from_bytes(body[1:5], "big")]).error if body else None


def _over_websocket(port, source, first):
    link = WsLink(port, source=source)
    try:
        link.send(first)
        return link.receive(5).error
    finally:
        link.close()


def main(port, transport, source, count):
    credential, pb = os.environ["GUESSED"], messages()
    left, codes, pauses, lock = iter(range(int(count))), collections.Counter(), [], threading.Lock()

    def guess():
        while True:
            with lock:
                if next(left, None) is None:
                    return
            error = None
            while error is None:  # hung up, or no room: it was not looked at, so it does not count
                try:
                    error = answer(int(port), transport, source, signed_connect(credential, "myapp"))
                except (AssertionError, LinkClosed, OSError, IndexError):
                    pass
                with lock:
                    codes["none" if error is None else pb.ConnectError.Code.Name(error.code)] += 1
            if error.retry_after_ms:
                with lock:
                    pauses.append(error.retry_after_ms)

    threads = [threading.Thread(target=guess) for _ in range(AT_A_TIME)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"codes": codes, "retry_after_ms": [min(pauses, default=0), max(pauses, default=0)], "pauses": len(pauses)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
