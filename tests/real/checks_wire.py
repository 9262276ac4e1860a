"""What a proxy must let through untouched, and what it must not: raw clients over HTTP/1.1, a service that is looked at byte by byte."""

import socket
import threading
import time

from kit.client import Truncated, is_cut
from kit.data import KIB, MIB, blocks, data, sha256
from kit.marks import limit
from kit.waiting import same, until
from kit import websocket


# ---- bodies

@limit(90)
def ten_thousand_sizes_of_chunks_arrive_whole(world):
    sizes = range(1, 10001)
    total = sum(sizes)
    noise = data(total)

    def chunks(exchange):
        exchange.start(200, chunked=True)
        at = 0
        for size in sizes:
            exchange.write(noise[at:at + size])
            at += size
        exchange.finish()

    tunnel = world.tunnel(routes={"/chunks": chunks})
    expected = sha256([noise])
    with tunnel.connection(timeout=30) as connection:
        connection.request("POST", "/measure", tunnel.host(), [("transfer-encoding", "chunked")])
        at, batch = 0, []
        for size in sizes:
            batch.append(b"%x\r\n%s\r\n" % (size, noise[at:at + size]))
            at += size
            if size % 50 == 0:
                connection.send(b"".join(batch))
                batch.clear()
        connection.send(b"0\r\n\r\n")
        told = connection.response().json()
        same((told["bytes"], told["sha256"]), (total, expected), "what the service got")
        connection.request("GET", "/chunks", tunnel.host())
        code, headers = connection.head()
        same((code, sha256(connection.body(code, headers))), (200, expected), "what the client got")


def chunks_of_one_byte_in_segments_of_their_own_arrive_whole(world):
    tunnel = world.tunnel()
    body = data(500)
    with tunnel.connection() as connection:
        connection.request("POST", "/echo", tunnel.host(), [("transfer-encoding", "chunked")])
        for octet in body:
            for part in (b"1;ext=\"a b\"", b"\r\n", bytes((octet,)), b"\r", b"\n"):
                connection.send(part)
        connection.send(b"000\r\n\r\n")
        same(connection.response().body, body, "the echo")


def trailers_pass_in_both_directions(world):
    def trailing(exchange):
        body = b"".join(exchange.body())
        fields = b"".join(b"%s: %s\r\n" % field for field in exchange.trailers)
        exchange.start(200, [("trailer", "x-sum, x-twice, x-latin, grpc-status-details-bin")], chunked=True, first=body)
        exchange.send(b"0\r\n" + fields + b"\r\n")

    tunnel = world.tunnel(routes={"/trailing": trailing})
    sent = [("x-sum", b"1234"), ("x-twice", b"a"), ("x-twice", b"b"), ("x-latin", b"caf\xe9"), ("grpc-status-details-bin", b"AAECAw==")]
    with tunnel.connection() as connection:
        connection.request("POST", "/trailing", tunnel.host(), [
            ("transfer-encoding", "chunked"), ("te", "trailers"), ("trailer", "x-sum, x-twice, x-latin, grpc-status-details-bin")])
        connection.send(b"4\r\nbody\r\n0\r\n" + b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in sent) + b"\r\n")
        reply = connection.response()
        seen = tunnel.upstream.last("/trailing")
        same(reply.body, b"body", "the body")
        same([(name.decode(), value) for name, value in seen.trailers], sent, "trailers at the service")
        same(connection.trailers, sent, "trailers at the client")
        connection.request("GET", "/", tunnel.host())
        same(connection.response().status, 200, "the next request")


def head_204_and_304_are_exactly_as_the_service_has_them(world):
    def exact(exchange):
        octets = {"/304": b"HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncontent-length: 42\r\n\r\n", "/204": b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n",
                  "/length": b"HTTP/1.1 200 OK\r\ncontent-length: 4242\r\n\r\n", "/chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                  "/0": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"}[exchange.path]
        exchange.send(octets)

    tunnel = world.tunnel(routes={path: exact for path in ("/304", "/204", "/length", "/chunked", "/0")})
    with tunnel.connection() as connection:
        for method, path, code, length in (("GET", "/304", 304, "42"), ("GET", "/204", 204, None), ("HEAD", "/length", 200, "4242"), ("HEAD", "/0", 200, "0"),
                                           ("HEAD", "/204", 204, None), ("HEAD", "/304", 304, "42"), ("GET", "/0", 200, "0"), ("HEAD", "/chunked", 200, None)):
            connection.request(method, path, tunnel.host())
            reply = connection.response(method)
            same((reply.status, reply.header("content-length"), reply.body), (code, length, b""), f"{method} {path}")
            if code in (204, 304):
                same(reply.header("transfer-encoding"), None, f"transfer-encoding of {method} {path}")
        connection.request("GET", "/", tunnel.host())
        same(connection.response().body, b"hello from myapp\n", "the next response on the same connection")


# ---- fields

def fields_keep_their_order_and_their_octets(world):
    sent = [("x-b", b"1"), ("x-a", b"1"), ("x-b", b"2"), ("cookie", b"a=1"), ("x-c", b"\x80\xff caf\xe9\ttab  two"), ("x-a", b"2"), ("cookie", b"b=2"),
            ("x-empty", b""), ("x-b", b"3"), ("x-quoted", b"\"a, b\\\"c\""), ("accept", b"text/html"), ("accept", b"*/*")]
    back = [("x-z", b"1"), ("set-cookie", b"a=1; path=/"), ("x-y", b"1"), ("set-cookie", b"b=2"), ("x-z", b"2"), ("x-latin", b"\xfc\x80\xff"),
            ("x-empty", b""), ("vary", b"a"), ("x-y", b"2"), ("vary", b"b"), ("www-authenticate", b"Basic realm=\"x\""), ("www-authenticate", b"Bearer")]
    tunnel = world.tunnel(routes={"/fields": lambda exchange: exchange.respond(200, b"x", back)})
    with tunnel.connection() as connection:
        connection.request("GET", "/fields", tunnel.host(), sent)
        reply = connection.response()
    seen = [(name.lower().decode(), value) for name, value in tunnel.upstream.last("/fields").headers]
    names = {name for name, _ in sent}
    same([field for field in seen if field[0] in names], sent, "request fields")
    names = {name for name, _ in back}
    same([field for field in reply.headers if field[0] in names], back, "response fields")
    extra = [name for name, _ in seen if name not in dict(sent)]
    world.note(f"added for the service: {', '.join(extra)}")


def a_head_of_64_kib_is_a_431_while_others_are_served(world):
    tunnel = world.tunnel()
    ok = []

    def other():
        with tunnel.connection() as neighbour:
            while not done.is_set():
                neighbour.request("GET", "/", tunnel.host())
                ok.append(neighbour.response().status)

    done = threading.Event()
    serving = world.background(other)
    for fields in ([("x-large", "x" * 65536)], [(f"x-{i}", "x" * 900) for i in range(73)], [(f"x-{i}", "") for i in range(150)]):
        before = len(ok)
        with tunnel.connection() as connection:
            connection.request("GET", "/large", tunnel.host(), fields)
            same(connection.head()[0], 431, f"{len(fields)} fields")
        until(lambda: len(ok) > before, "the other client is served")
    with tunnel.connection() as connection:
        connection.request("GET", "/headers", tunnel.host(), [("x-large", "x" * 60000)])
        same(connection.response().status, 200, "60,000 bytes of a field")
    done.set()
    serving.result(5)
    same(set(ok), {200}, f"statuses of {len(ok)} other requests")
    same(tunnel.upstream.last("/large"), None, "what the service saw of them")


# ---- interim responses

def early_hints_and_other_interim_responses_pass(world):
    def hints(exchange):
        exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\n")
        shown.acquire(timeout=5)
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </c.css>; rel=preload\r\n\r\n")
        exchange.respond(200, b"page")

    shown = threading.Semaphore(0)
    tunnel = world.tunnel(routes={"/hints": hints})
    with tunnel.connection() as connection:
        connection.request("GET", "/hints", tunnel.host())
        line = connection.reader.readline()
        same(line[:12], b"HTTP/1.1 102", "the first interim response")
        while connection.reader.readline() != b"\r\n":
            pass
        line = connection.reader.readline()
        same(line[:12], b"HTTP/1.1 103", "the second interim response, before the service sends more")
        fields = []
        while (line := connection.reader.readline()) != b"\r\n":
            fields.append(line.rstrip())
        same(fields, [b"link: </a.css>; rel=preload", b"link: </b.js>; rel=preload"], "its fields")
        shown.release()
        reply = connection.response()
        same((reply.status, reply.body), (200, b"page"), "the response")
        same(connection.interims, [(103, [("link", b"</c.css>; rel=preload")])], "the third interim response")
        connection.request("GET", "/", tunnel.host())
        same(connection.response().status, 200, "the next request")
    with tunnel.connection() as connection:  # HTTP/1.0 knows no interim responses
        shown.release()
        connection.send(f"GET /hints HTTP/1.0\r\nhost: {tunnel.host()}\r\n\r\n".encode())
        same(connection.reader.readline()[8:12], b" 200", "the first head for HTTP/1.0")


def a_100_comes_from_the_service_and_no_sooner(world):
    asked = threading.Semaphore(0)

    def strict(exchange):
        expects.append(exchange.header("expect"))
        asked.acquire(timeout=5)
        body = b"".join(exchange.body())
        exchange.respond(200, body)

    expects = []
    tunnel = world.tunnel(routes={"/strict": strict})
    with tunnel.connection() as connection:
        connection.request("POST", "/strict", tunnel.host(), [("expect", "100-continue"), ("content-length", "4")])
        until(lambda: expects, "the service has the head")
        connection.socket.settimeout(0.3)
        try:
            early = connection.socket.recv(100)
        except TimeoutError:
            early = b""
        same(early, b"", "what came before the service asked for the body")
        connection.socket.settimeout(5)
        asked.release()
        same(connection.reader.readline()[:12], b"HTTP/1.1 100", "the interim response")
        same(connection.reader.readline(), b"\r\n", "its end")
        connection.send(b"body")
        reply = connection.response()
        same((reply.status, reply.body, connection.interims), (200, b"body", []), "the response")
    same(expects, ["100-continue"], "what the service was asked")


def a_service_that_knows_nothing_of_expect_gets_its_body(world):
    def deaf(exchange):
        exchange.respond(200, exchange.reader.read(4))
        exchange._body_left = False

    tunnel = world.tunnel(routes={"/deaf": deaf})
    for waits in (True, False):
        with tunnel.connection(timeout=5) as connection:
            connection.request("POST", "/deaf", tunnel.host(), [("expect", "100-continue"), ("content-length", "4")], b"" if waits else b"body")
            if waits:
                same(connection.reader.readline()[:12], b"HTTP/1.1 100", "the interim response, in the service's place")
                connection.reader.readline()
                connection.send(b"body")
            same(connection.response().body, b"body", "the response")


def a_service_that_answers_before_it_reads_gets_its_body(world):
    """The final head instead of 100, without `connection: close`: the service reads on (RFC 9110, section 10.1.1)."""
    def early(exchange):
        exchange.start(200, length=4)
        exchange.send(exchange.reader.read(4))
        exchange._body_left = False

    tunnel = world.tunnel(routes={"/early": early})
    with tunnel.connection(timeout=5) as connection:
        connection.request("POST", "/early", tunnel.host(), [("expect", "100-continue"), ("content-length", "4")], b"body")
        same(connection.response().body, b"body", "the response to a client that does not wait")


# ---- upgrades

def an_upgrade_that_the_service_refuses_passes_untouched(world):
    def refuse(exchange):
        exchange.respond(int(exchange.path[1:]), b"no switch here\n", [("x-why", "not today"), ("sec-websocket-version", "13"), ("retry-after", "7")])

    tunnel = world.tunnel(routes={f"/{code}": refuse for code in (200, 400, 401, 403, 426, 503)})
    with tunnel.connection() as connection:
        for code in (200, 400, 401, 403, 426, 503):
            connection.request("GET", f"/{code}", tunnel.host(), [
                ("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-protocol", "chat, superchat"), ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")])
            reply = connection.response()
            same((reply.status, reply.body, reply.header("x-why"), reply.header("sec-websocket-version")), (code, b"no switch here\n", "not today", "13"), f"{code}")
        connection.request("GET", "/", tunnel.host())
        same(connection.response().status, 200, "the next request on the connection")
    seen = tunnel.upstream.last("/403")
    same((seen.header("upgrade"), (seen.header("connection") or "").lower()), ("websocket", "upgrade"), "what the service was asked")
    same((seen.header("sec-websocket-key"), seen.header("sec-websocket-protocol"), seen.header("sec-websocket-extensions")),
         ("dGhlIHNhbXBsZSBub25jZQ==", "chat, superchat", "permessage-deflate; client_max_window_bits"), "the handshake")


def any_upgrade_becomes_a_pipe_with_two_ends(world):
    """A protocol that nobody knows: bytes both ways, the first ones right behind the heads, and each side ends for itself."""
    seen = {}

    def switch(exchange):
        seen["upgrade"], seen["connection"] = exchange.header("upgrade"), exchange.header("connection")
        exchange.keep_alive = False
        exchange.send(b"HTTP/1.1 101 Switching\r\nupgrade: Indra-Test/1\r\nconnection: upgrade\r\nx-more: 1\r\n\r\nfirst words")
        if exchange.path == "/client-ends":
            seen["all"] = b"".join(iter(lambda: exchange.reader.read1(65536), b""))
            exchange.send(b"last words after your end")
        else:
            exchange.connection.shutdown(socket.SHUT_WR)
            seen["late"] = exchange.reader.read(1 * MIB)
            seen["ended"] = exchange.reader.read1(10) == b""

    tunnel = world.tunnel(routes={"/client-ends": switch, "/service-ends": switch})
    fields = [("upgrade", "Indra-Test/1"), ("connection", "upgrade")]
    with tunnel.connection() as connection:
        connection.request("GET", "/client-ends", tunnel.host(), fields)
        code, headers = connection.head()
        same((code, dict(headers).get("upgrade"), dict(headers).get("x-more")), (101, b"Indra-Test/1", b"1"), "the switch")
        same(connection.reader.read(11), b"first words", "what stood behind the head")
        for piece in blocks(3 * MIB):
            connection.send(piece)
        connection.socket.shutdown(socket.SHUT_WR)
        same(connection.reader.read(), b"last words after your end", "what comes after the client's end")
    same((seen["upgrade"], seen["connection"].lower()), ("Indra-Test/1", "upgrade"), "what the service was asked")
    same(sha256([seen["all"]]), sha256(blocks(3 * MIB)), "what the client said")
    with tunnel.connection() as connection:
        connection.request("GET", "/service-ends", tunnel.host(), fields)
        same(connection.head()[0], 101, "the switch")
        same(connection.reader.read(), b"first words", "what came until the service's end")
        connection.send(data(MIB))
        connection.socket.shutdown(socket.SHUT_WR)
        until(lambda: "ended" in seen, "the service has read to the client's end")
        same((sha256([seen["late"]]), seen["ended"]), (sha256([data(MIB)]), True), "what came after the service's end")
    tunnel.gateway.nothing_in_flight()


def a_switched_connection_that_breaks_is_broken_on_the_other_side_too(world):
    states = []

    def switch(exchange):
        exchange.keep_alive = False
        exchange.send(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello")
        if exchange.path == "/service-breaks":
            exchange.reader.read1(4)
            exchange.reset()
        else:
            states.append(exchange.closed_by_peer(5))

    tunnel = world.tunnel(routes={"/service-breaks": switch, "/client-breaks": switch})
    fields = [("upgrade", "x"), ("connection", "upgrade")]
    with tunnel.connection(timeout=5) as connection:
        connection.request("GET", "/service-breaks", tunnel.host(), fields)
        same(connection.head()[0], 101, "the switch")
        same(connection.reader.read(5), b"hello", "the beginning")
        connection.send(b"ping")
        try:
            same(connection.reader.read(), b"", "what comes after the break")
        except ConnectionResetError:
            world.note("RST at the client")
    connection = tunnel.connection(timeout=5)
    connection.request("GET", "/client-breaks", tunnel.host(), fields)
    same(connection.head()[0], 101, "the switch")
    connection.close()
    until(lambda: states, "the service's end is closed")
    assert states[0] is not None and states[0] < 3.5, f"the service was told after {states[0]} s"
    tunnel.gateway.nothing_in_flight()


def a_websocket_outlives_the_idle_limit_of_requests_with_its_pings(world):
    def talk(exchange):
        accepted = websocket.Accepted(exchange)
        while got := accepted.read():
            if got[0] == websocket.PING:
                accepted.send(websocket.PONG, got[1])
            elif got[0] == websocket.CLOSE:
                return accepted.send(*got)
            else:
                accepted.send(*got)

    tunnel = world.tunnel("--response-timeout", "2s", routes={"/talk": talk})
    with tunnel.connection(timeout=5) as connection:
        connection.request("GET", "/talk", tunnel.host(), [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", "13"),
                                                           ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")])
        code, headers = connection.head()
        same((code, dict(headers)["sec-websocket-accept"]), (101, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the switch")
        begin = time.monotonic()
        while time.monotonic() - begin < 3.5:
            connection.send(websocket.frame(websocket.PING, b"p", masked=True))
            same(connection.reader.read(3), websocket.frame(websocket.PONG, b"p"), "a pong")
        for size in (0, 125, 126, 65535, 65536, MIB):
            connection.send(websocket.frame(websocket.BINARY, data(size), masked=True))
            expected = websocket.frame(websocket.BINARY, data(size))
            same(connection.reader.read(len(expected)), expected, f"an echo of {size} bytes")
        connection.send(websocket.frame(websocket.CLOSE, b"\x0f\xa1bye", masked=True))
        same(connection.reader.read(), websocket.frame(websocket.CLOSE, b"\x0f\xa1bye"), "the close, with its code, and the end")


# ---- aborts

def a_response_that_breaks_off_has_no_last_chunk(world):
    def dies(exchange):
        if exchange.path == "/chunked":
            exchange.start(200, chunked=True, first=data(100 * KIB))
        elif exchange.path == "/within-a-chunk":
            exchange.start(200, chunked=True)
            exchange.send(b"400\r\n" + b"x" * 100)
        elif exchange.path == "/within-trailers":
            exchange.start(200, [("trailer", "x-sum")], chunked=True, first=b"body")
            exchange.send(b"0\r\nx-sum: 1")
        elif exchange.path == "/length":
            exchange.start(200, length=1000, first=b"x" * 999)
        (exchange.reset if exchange.target.endswith("rst") else exchange.hang_up)()

    paths = ("/chunked", "/within-a-chunk", "/within-trailers", "/length")
    tunnel = world.tunnel(routes={path: dies for path in paths})
    clean = []
    for path in paths:
        for how in ("fin", "rst"):
            with tunnel.connection(timeout=5) as connection:
                connection.request("GET", f"{path}?{how}", tunnel.host(), [("te", "trailers")])
                try:
                    code, headers = connection.head()
                except (Truncated, ConnectionResetError):
                    continue
                if code == 200 and not is_cut(connection.body(code, headers)):
                    clean.append(f"{path} {how}")
    same(clean, [], "broken responses that ended cleanly")
    tunnel.gateway.nothing_in_flight()


def an_upload_that_breaks_off_has_no_last_chunk(world):
    ends = {}

    def reads(exchange):
        try:
            size = sum(map(len, exchange.body()))
            ends[exchange.target] = f"clean after {size}"
            exchange.respond(200)
        except Exception as error:
            ends[exchange.target] = type(error).__name__
            raise

    tunnel = world.tunnel(routes={"/reads": reads})
    for name, fields, octets in (("chunked", [("transfer-encoding", "chunked")], b"5\r\nfirst\r\n"), ("within", [("transfer-encoding", "chunked")], b"ff\r\npart"),
                                 ("trailer", [("transfer-encoding", "chunked")], b"5\r\nfirst\r\n0\r\nx-sum: 1"), ("length", [("content-length", "1000")], b"x" * 999)):
        target = f"/reads?{name}"
        connection = tunnel.connection()
        connection.request("POST", target, tunnel.host(), fields)
        connection.send(octets)
        until(lambda: any(seen.target == target for seen in tunnel.upstream.seen), "the request arrives")
        connection.socket.shutdown(socket.SHUT_WR)
        until(lambda: target in ends, f"{name}: the service is told", 5)
        connection.close()
        assert not ends[target].startswith("clean"), f"{name}: an upload that broke off ended {ends[target]} bytes"
    tunnel.gateway.nothing_in_flight()


# ---- one connection, many requests

def pipelined_requests_are_answered_in_their_order(world):
    def slow(exchange):
        time.sleep(0.05)
        exchange.respond(200, exchange.target.encode())

    tunnel = world.tunnel(routes={"/slow": slow, "/fast": lambda exchange: exchange.respond(200, exchange.target.encode())})
    host = tunnel.host().encode()
    with tunnel.connection() as connection:
        targets = [f"/{'slow' if number % 3 == 0 else 'fast'}?{number}".encode() for number in range(20)]
        connection.send(b"".join(b"POST %s HTTP/1.1\r\nhost: %s\r\ncontent-length: 3\r\n\r\nabc" % (target, host) for target in targets))
        same([connection.response().body for _ in targets], targets, "the answers")


def requests_with_two_readings_are_refused(world):
    """Everything that a front end and a back end could take for different requests (RFC 9112, section 11.2)."""
    tunnel = world.tunnel()
    host = tunnel.host()
    hidden = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
    attempts = {
        "length and chunked": f"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        "chunked in disguise": f"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}",
        "chunked twice": f"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n{hidden}",
        "chunked is not the last": f"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}",
        "two lengths": f"content-length: 0\r\ncontent-length: {len(hidden)}\r\n\r\n{hidden}",
        "a list of lengths": f"content-length: 0, {len(hidden)}\r\n\r\n{hidden}",
        "a signed length": f"content-length: +5\r\n\r\nabcde{hidden}",
        "a space before the colon": f"content-length : 5\r\n\r\nabcde{hidden}",
        "a folded line": f"x-a: 1\r\n content-length: 5\r\n\r\n{hidden}",
        "a bare CR": f"x-a: 1\rcontent-length: 5\r\n\r\n{hidden}",
        "a NUL": f"x-a: 1\0\r\n\r\n{hidden}",
        "a chunk size with a sign": f"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{hidden}",
        "a chunk size in 0x": f"transfer-encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n{hidden}",
        "a chunk size that overflows": f"transfer-encoding: chunked\r\n\r\n10000000000000005\r\nabcde\r\n0\r\n\r\n{hidden}",
        "a chunk without its CRLF": f"transfer-encoding: chunked\r\n\r\n5\r\nabcdeXX0\r\n\r\n{hidden}",
        "a bare LF behind a chunk size": f"transfer-encoding: chunked\r\n\r\n5\nabcde\r\n0\r\n\r\n{hidden}",
    }
    wrong = []
    for name, rest in attempts.items():
        with tunnel.connection(timeout=5) as connection:
            connection.send(f"POST /measure HTTP/1.1\r\nhost: {host}\r\n{rest}".encode("latin-1"))
            statuses = []
            try:
                while True:
                    code, headers = connection.head()
                    statuses.append(code)
                    for _ in connection.body(code, headers):
                        pass
            except (Truncated, ConnectionResetError):
                pass
            if len(statuses) > 1 or any(code < 400 for code in statuses):
                wrong.append(f"{name}: {statuses}")
        if tunnel.upstream.last("/hidden"):
            wrong.append(f"{name}: the hidden request was served")
    same(wrong, [], "what was not refused")
