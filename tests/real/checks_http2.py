"""HTTP/2 on the public port: every frame as the standards have it, and requests that only HTTP/2 can make."""

import struct
import threading
import time

from kit import http2_cases, websocket
from kit.data import MIB, data, sha256
from kit.http2 import *  # noqa: F403 - the vocabulary of the frames
from kit.marks import limit, once
from kit.waiting import percentile, same, until


@once
@limit(60)
def the_start_and_the_frames_are_as_rfc_9113_has_them(world):
    _conform(world, "3", "4", "7")


@once
@limit(60)
def the_states_of_streams_are_as_rfc_9113_has_them(world):
    _conform(world, "5")


@once
@limit(90)
def every_type_of_frame_is_as_rfc_9113_has_it(world):
    _conform(world, "6")


@once
@limit(90)
def requests_are_as_rfc_9113_and_rfc_8441_have_them(world):
    _conform(world, "8", "8441")


@once
@limit(60)
def field_compression_is_as_rfc_7541_has_it(world):
    _conform(world, "7541")


# ---- requests

def bodies_pass_in_both_directions(world):
    tunnel = world.tunnel()
    with _http2(tunnel) as client:
        for size in (0, 1, 16384, 70000, 3 * MIB):
            stream = client.request("POST", "/echo", tunnel.host(), body=data(size))
            answer = client.response(stream)
            same((answer.status, sha256([answer.body]), answer.reset), (200, sha256([data(size)]), None), f"an echo of {size} bytes")
        seen = tunnel.upstream.last("/echo")
        same((seen.header("transfer-encoding"), seen.header("content-length")), ("chunked", None), "the framing of a body without a length")
        told = client.response(client.request("POST", "/measure", tunnel.host(), [("content-length", "70000")], body=data(70000)))
        same(tunnel.upstream.last("/measure").header("content-length"), "70000", "the length at the service")
        same(told.status, 200, "status")
        answer = client.response(client.request("HEAD", "/bytes/1234", tunnel.host()))
        same((answer.status, answer.header("content-length"), answer.body), (200, "1234", b""), "HEAD")
        for code, length in ((204, None), (304, None)):
            answer = client.response(client.request("GET", f"/status/{code}", tunnel.host()))
            same((answer.status, answer.header("content-length"), answer.body), (code, length, b""), f"{code}")


def fields_of_the_connection_do_not_get_into_http2(world):
    fields = [("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("x-b", "1"), ("x-a", b"caf\xe9 \xff"), ("x-b", "2"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
    tunnel = world.tunnel(routes={"/fields": lambda exchange: exchange.respond(200, b"x", fields)})
    with _http2(tunnel) as client:
        answer = client.response(client.request("GET", "/fields", tunnel.host(), [("x-one", b"\x80\xff"), ("x-two", ""), ("x-one", "2"), ("te", "trailers")]))
        for name in ("connection", "x-hop", "keep-alive", "transfer-encoding"):
            same(answer.values(name), [], name)
        same((answer.values("x-a"), answer.values("x-b"), answer.values("set-cookie")), ([b"caf\xe9 \xff"], [b"1", b"2"], [b"a=1", b"b=2"]), "fields at the client")
    seen = tunnel.upstream.last("/fields")
    same((seen.version, seen.values("x-one"), seen.values("x-two"), seen.values("host")),
         ("HTTP/1.1", [b"\x80\xff", b"2"], [b""], [tunnel.host().encode()]), "the request at the service")


def a_head_of_64_kib_is_a_431_over_http2(world):
    tunnel = world.tunnel()
    with _http2(tunnel) as client:
        for fields in ([("x-large", "x" * 66000)], [(f"x-{number}", "x" * 900) for number in range(73)], [(f"x-{number}", "") for number in range(150)]):
            stream = client.request("GET", "/large", tunnel.host(), fields)
            answer = client.response(stream)
            same((answer.status, answer.reset), (431, None), f"{len(fields)} fields")
            same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "the next request on the connection")
        stream = client.request("GET", "/headers", tunnel.host(), [("x-large", "x" * 60000)])
        same(client.response(stream).status, 200, "60,000 bytes of a field")
    same(tunnel.upstream.last("/large"), None, "what the service saw of them")


def trailers_pass_in_both_directions_over_http2(world):
    def trailing(exchange):
        body = b"".join(exchange.body())
        exchange.start(200, [("trailer", "x-sum")], chunked=True, first=body)
        exchange.send(b"0\r\n" + b"".join(b"%s: %s\r\n" % field for field in exchange.trailers) + b"\r\n")

    tunnel = world.tunnel(routes={"/trailing": trailing})
    sent = [(b"x-sum", b"1234"), (b"x-latin", b"caf\xe9"), (b"x-sum", b"5")]
    with _http2(tunnel) as client:
        stream = client.request("POST", "/trailing", tunnel.host(), [("te", "trailers"), ("trailer", "x-sum, x-latin")], body=b"body", trailers=sent)
        answer = client.response(stream)
        same((answer.body, sorted(tunnel.upstream.last("/trailing").trailers)), (b"body", sorted(sent)), "trailers at the service")
        same(sorted(answer.trailers or []), sorted(sent), "trailers at the client")
        stream = client.request("POST", "/trailing", tunnel.host(), body=b"", trailers=[(b"x-sum", b"of nothing")])
        answer = client.response(stream)
        same((answer.body, answer.trailers), (b"", [(b"x-sum", b"of nothing")]), "trailers of an empty body")


def early_hints_pass_over_http2(world):
    def hints(exchange):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
        exchange.respond(200, b"page")

    tunnel = world.tunnel(routes={"/hints": hints})
    with _http2(tunnel) as client:
        answer = client.response(client.request("GET", "/hints", tunnel.host()))
        same((answer.status, answer.body), (200, b"page"), "the response")
        if not answer.interims:
            world.note("known: hyper's server drops interim responses")
        else:
            same(answer.interims, [(103, [(b"link", b"</a.css>; rel=preload")])], "the interim response")


def events_are_not_held_back_over_http2(world):
    count = 100

    def events(exchange):
        exchange.start(200, [("content-type", "text/event-stream")], chunked=True)
        for _ in range(count):
            exchange.write(f"data: {time.monotonic()!r}\n\n".encode())
            if not got.acquire(timeout=3):
                return exchange.hang_up()
        exchange.finish()

    got, delays = threading.Semaphore(0), []
    tunnel = world.tunnel(routes={"/events": events})
    with _http2(tunnel) as client:
        stream = client.request("GET", "/events", tunnel.host())
        answer = client.answer(stream)
        for number in range(1, count + 1):
            client.until(lambda: answer.body.count(b"\n\n") == number, f"event {number}")
            delays.append(time.monotonic() - float(answer.body.split(b"data: ")[-1]))
            got.release()
        client.response(stream)
    world.note(f"p50 {percentile(delays, 0.5) * 1e3:.2f} ms, max {max(delays) * 1e3:.2f} ms")
    assert percentile(delays, 0.9) < 0.05, f"events are late: {percentile(delays, 0.9) * 1e3:.0f} ms"


def a_stream_that_takes_nothing_holds_up_no_other(world):
    tunnel = world.tunnel()
    with _http2(tunnel, setting(INITIAL_WINDOW_SIZE, 1 << 16)) as client:
        client.frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", 1 << 30))
        client.gives_back = False
        held = [client.request("GET", f"/bytes/{20 * MIB}", tunnel.host()) for _ in range(10)]
        client.until(lambda: all(len(client.answer(stream).body) == 1 << 16 for stream in held), "the windows of ten streams are used up")
        for _ in range(50):
            same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "a small request beside them")
        stream = client.request("POST", "/measure", tunnel.host(), body=data(MIB))
        same(client.response(stream).status, 200, "an upload beside them")
        for stream in held:
            client.frame(RST_STREAM, 0, stream, struct.pack(">L", CANCEL))
        client.alive()
    tunnel.gateway.nothing_in_flight()


@limit(60)
def uploads_that_the_service_does_not_read_hold_up_no_other_stream(world):
    def stall(exchange):
        exchange.closed_by_peer(40)
        exchange.hang_up()

    tunnel = world.tunnel("--response-timeout", "40s", routes={"/stall": stall})
    for count in (3, 8):
        with _http2(tunnel) as client:
            stalled = [client.request("POST", "/stall", tunnel.host(), end_stream=False) for _ in range(count)]
            sent = _fill(client, stalled)
            world.note(f"{sent / MIB:.1f} MiB taken of {count} uploads, {client.window[0]} bytes of the connection's window left")
            for _ in range(20):
                same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "a small request beside them")
            small = client.open()
            client.headers(small, [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", tunnel.host())])
            if client.window[0] < 5 and count > 3:
                world.note(f"known: beside {count} of them no other upload on the connection goes on")
                continue
            client.upload(small, b"small")
            same(client.response(small).body, b"small", "a small upload beside them")


def _fill(client, streams):
    """Uploads on all streams until nothing is granted any more; returns how much went."""
    sent, quiet = 0, time.monotonic()
    while time.monotonic() - quiet < 0.5:
        for stream in streams:
            while (room := min(client.stream_window(stream), client.window[0], 16384)) > 0:
                client.window[0] -= room
                client.window[stream] -= room
                client.data(stream, b"x" * room)
                sent, quiet = sent + room, time.monotonic()
        client.socket.settimeout(0.1)
        try:
            client.step()
        except TimeoutError:
            pass
    client.socket.settimeout(5)
    return sent


# ---- ends

def a_response_that_breaks_off_is_a_reset_stream(world):
    def dies(exchange):
        if "length" in exchange.target:
            exchange.start(200, length=1000, first=b"x" * 10)
        else:
            exchange.start(200, chunked=True, first=b"x" * 10)
        shown.acquire(timeout=5)
        (exchange.reset if exchange.target.endswith("rst") else exchange.hang_up)()

    shown = threading.Semaphore(0)
    tunnel = world.tunnel(routes={"/dies": dies})
    with _http2(tunnel) as client:
        for target in ("/dies?length", "/dies?chunked", "/dies?length-rst", "/dies?chunked-rst"):
            stream = client.request("GET", target, tunnel.host())
            client.until(lambda: client.answer(stream).body, "the beginning")
            shown.release()
            answer = client.response(stream)
            same((answer.status, answer.ended, answer.reset is not None), (200, False, True), target)
            assert answer.reset != NO_ERROR, f"{target}: reset with NO_ERROR"
            world.note(code_name(answer.reset))
        same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "the next request on the connection")
    tunnel.gateway.nothing_in_flight()


def a_stream_that_the_client_resets_ends_at_the_service(world):
    ends = {}

    def reads(exchange):
        try:
            size = sum(map(len, exchange.body()))
            ends[exchange.target] = f"clean after {size}"
        except Exception as error:
            ends[exchange.target] = type(error).__name__
            raise

    def silent(exchange):
        ends[exchange.target] = "closed" if exchange.closed_by_peer(5) is not None else "open"
        exchange.hang_up()

    def flood(exchange):
        exchange.start(200, chunked=True)
        try:
            while True:
                exchange.write(data(65536))
        finally:
            ends[exchange.target] = "closed"

    tunnel = world.tunnel(routes={"/reads": reads, "/silent": silent, "/flood": flood})
    with _http2(tunnel) as client:
        for target, body in (("/reads", b"some"), ("/silent", None), ("/flood", None)):
            stream = client.request("POST" if body else "GET", target, tunnel.host(), end_stream=not body)
            if body:
                client.data(stream, body)
            until(lambda: tunnel.upstream.last(target), "the request arrives")
            if target == "/flood":
                client.head(stream)
            client.frame(RST_STREAM, 0, stream, struct.pack(">L", CANCEL))
            client.alive()
            until(lambda: target in ends, f"{target}: the service is told", 4)
            assert ends[target] in ("Gone", "closed"), f"{target}: {ends[target]}"
        same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "the next request on the connection")
    tunnel.gateway.nothing_in_flight()


def a_gateway_that_drains_says_goaway_and_finishes(world):
    go = threading.Event()

    def slow(exchange):
        exchange.start(200, chunked=True, first=b"first, ")
        go.wait(10)
        exchange.write(b"last")
        exchange.finish()

    tunnel = world.tunnel(routes={"/slow": slow})
    with _http2(tunnel) as client:
        stream = client.request("GET", "/slow", tunnel.host())
        client.head(stream)
        tunnel.gateway.process.terminate()
        client.until(lambda: client.going_away, "GOAWAY")
        same(client.going_away.code, NO_ERROR, "its code")
        go.set()
        answer = client.response(stream)
        same((answer.body, answer.reset), (b"first, last", None), "the response")
    same(tunnel.gateway.process.exit_code(10), 0, "the gateway's exit")


@limit(90)
def floods_of_frames_end_their_own_connection_at_most(world):
    """Rapid reset, PING, SETTINGS, CONTINUATION, empty DATA, WINDOW_UPDATE: the gateway stays small and serves others."""
    tunnel = world.tunnel(routes={"/hold": lambda exchange: exchange.closed_by_peer(30)})
    scene = http2_cases.Scene(tunnel.gateway.http, tunnel.host())

    def resets(client):
        for _ in range(20000):
            stream = client.open()
            yield frame(HEADERS, END_STREAM | END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, struct.pack(">L", CANCEL))

    def continuations(client):
        yield frame(HEADERS, END_STREAM, 1, client.block(scene.fields()))
        for _ in range(20000):
            yield frame(CONTINUATION, 0, 1, client.block([("x-flood", "x" * 900)]))

    def empty_data(client):
        yield frame(HEADERS, END_HEADERS, 1, client.block(scene.fields("POST", "/measure")))
        for _ in range(100000):
            yield frame(DATA, 0, 1)

    floods = {
        "rapid reset": resets, "CONTINUATION": continuations, "empty DATA": empty_data,
        "PING": lambda client: (frame(PING, 0, 0, b"12345678") for _ in range(100000)),
        "SETTINGS": lambda client: (frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 100)) for _ in range(100000)),
        "PRIORITY": lambda client: (frame(PRIORITY, 0, 2 * n + 1, b"\0\0\0\0\1") for n in range(100000)),
    }
    before = {process.name: process.rss() for process in tunnel.processes()}
    for name, flood in floods.items():
        with scene.connect() as client:
            block = client.block(scene.fields(path="/hold"))
            client.socket.settimeout(0.5)
            batch, sent = [], 0
            try:
                for octets in flood(client):
                    batch.append(octets)
                    if len(batch) == 100:
                        client.send(b"".join(batch))
                        batch.clear()
                    sent += 1
                outcome = "taken"
            except TimeoutError:
                outcome = "held up"
            except OSError:
                outcome = "cut"
            world.note(f"{name}: {outcome} after {sent}")
            begin = time.monotonic()
            same(tunnel.curl("/", limit=5).status, 200, f"another client beside a flood of {name}")
            assert time.monotonic() - begin < 4, f"another client waited {time.monotonic() - begin:.1f} s beside a flood of {name}"
    until(lambda: tunnel.gateway.status_of("/") == 200, "requests are served")
    tunnel.gateway.nothing_in_flight(10)
    for process in tunnel.processes():
        grown = (process.rss() - before[process.name]) / MIB
        assert grown < 48, f"{process.name} grew by {grown:.0f} MiB"


# ---- WebSocket over HTTP/2 (RFC 8441)

def a_websocket_over_http2_talks_to_a_service_on_http1(world):
    seen = {}

    def talk(exchange):
        seen["head"] = exchange
        accepted = websocket.Accepted(exchange, protocol="chat")
        while got := accepted.read():
            accepted.send(*got)
            if got[0] == websocket.CLOSE:
                break
        seen["ended"] = accepted.read() is None

    tunnel = world.tunnel(routes={"/talk": talk})
    with _http2(tunnel) as client:
        stream = _websocket(client, tunnel, "/talk", [("sec-websocket-protocol", "chat, other"), ("origin", "http://page.test")])
        answer = client.head(stream)
        same((answer.status, answer.header("sec-websocket-protocol"), answer.ended), (200, "chat", False), "the answer")
        for name in ("sec-websocket-accept", "upgrade", "connection"):
            same(answer.values(name), [], name)
        head = seen["head"]
        same((head.method, head.header("upgrade"), head.header("connection").lower(), head.header("sec-websocket-version"), head.header("origin")),
             ("GET", "websocket", "upgrade", "13", "http://page.test"), "the request at the service")
        at = 0
        for opcode, size in ((websocket.TEXT, 5), (websocket.BINARY, 0), (websocket.BINARY, 65536), (websocket.BINARY, 2 * MIB)):
            client.upload(stream, websocket.frame(opcode, data(size), masked=True), end_stream=False)
            expected = websocket.frame(opcode, data(size))
            client.until(lambda: len(answer.body) - at >= len(expected), f"an echo of {size} bytes", 10)
            same(sha256([answer.body[at:]]), sha256([expected]), f"an echo of {size} bytes")
            at = len(answer.body)
        same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "a request beside it")
        client.data(stream, websocket.frame(websocket.CLOSE, b"\x0f\xa1bye", masked=True))
        client.until(lambda: answer.body[at:] == websocket.frame(websocket.CLOSE, b"\x0f\xa1bye"), "the close with its code")
        client.data(stream, end_stream=True)
        same((client.response(stream).reset, answer.ended), (None, True), "the end of the stream")
        until(lambda: seen.get("ended"), "the service sees the client's end")
    tunnel.gateway.nothing_in_flight()


def a_websocket_over_http2_that_is_refused_gets_the_services_answer(world):
    tunnel = world.tunnel(routes={"/refuse": lambda exchange: exchange.respond(403, b"not you\n", [("x-why", "because")])})
    with _http2(tunnel) as client:
        answer = client.response(_websocket(client, tunnel, "/refuse"))
        same((answer.status, answer.header("x-why"), answer.body), (403, "because", b"not you\n"), "the answer")
        answer = client.response(_websocket(client, tunnel, "/", host=tunnel.host("nobody")))
        same((answer.status, answer.header("indranet-error")), (404, "agent_not_found"), "the answer of the gateway")
        same(client.response(client.request("GET", "/", tunnel.host())).status, 200, "the next request")
    tunnel.gateway.nothing_in_flight()


def a_websocket_over_http2_breaks_on_both_sides(world):
    ends = []

    def talk(exchange):
        websocket.Accepted(exchange)
        if exchange.path == "/service":
            exchange.reader.read1(1)
            exchange.reset()
        else:
            ends.append(exchange.closed_by_peer(5))

    tunnel = world.tunnel(routes={"/service": talk, "/client": talk})
    with _http2(tunnel) as client:
        stream = _websocket(client, tunnel, "/client")
        same(client.head(stream).status, 200, "the switch")
        client.frame(RST_STREAM, 0, stream, struct.pack(">L", CANCEL))
        client.alive()
        until(lambda: ends, "the service's connection is closed")
        assert ends[0] is not None, "the service's connection stays open after the client's RST_STREAM"
        stream = _websocket(client, tunnel, "/service")
        same(client.head(stream).status, 200, "the switch")
        client.data(stream, b"x")
        answer = client.response(stream)
        if answer.reset is None:
            world.note("known: hyper ends a switched stream where it should reset it (README, Status)")
        else:
            world.note(code_name(answer.reset))
    tunnel.gateway.nothing_in_flight()


def _http2(tunnel, settings=b""):
    client = Http2(tunnel.gateway.http, settings)
    client.until(lambda: client.acknowledged, "SETTINGS are acknowledged")
    return client


def _websocket(client, tunnel, path, more=(), host=None):
    stream = client.open()
    client.headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path), (":authority", host or tunnel.host()),
                            ("sec-websocket-version", "13"), *more])
    return stream


def _conform(world, *sections):
    needs_hpack()

    def hold(exchange):
        exchange.closed_by_peer(30)

    tunnel = world.tunnel(routes={"/hold": hold, "*": lambda exchange: exchange.respond(200)})
    scene = http2_cases.Scene(tunnel.gateway.http, tunnel.host())
    wrong, known, cases = [], [], http2_cases.of(sections)
    for section, name, case in cases:
        try:
            case(scene)
        except (AssertionError, OSError, ValueError) as error:
            (known if name in http2_cases.KNOWN else wrong).append(f"{section} {name}: {type(error).__name__} {error}")
    world.note(f"{len(cases) - len(wrong) - len(known)} of {len(cases)} cases" + (f", known: {'; '.join(known)}" if known else ""))
    if wrong:
        raise AssertionError("\n  ".join(["cases that went wrong:", *wrong]))
