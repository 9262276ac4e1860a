"""A real browser: headless Chromium loads a page through the tunnel, and the page tells what it saw."""

import contextlib
import json
import pathlib
import threading
import time

from kit import websocket
from kit.browser import FLAGS, NetLog, browse, chromium, trust
from kit.marks import limit, once
from kit.survival import Network
from kit.tls import secure_tunnel
from kit.waiting import same, until
from kit.world import DOMAIN

PAGE = pathlib.Path(__file__).resolve().parent / "kit" / "page.html"
OVER_HTTP1 = "HTTP_TRANSACTION_SEND_REQUEST_HEADERS"  # what the browser's log calls a request of that version
HTTP_HOST, HTTPS_HOST = "myapp.localhost", f"myapp.{DOMAIN}"


@limit(120)
def a_browser_works_with_a_page_behind_the_tunnel(world):
    page, log = _Page(), NetLog(world)
    upstream = world.upstream("myapp", page.routes)
    gateway = world.gateway("--domain", "localhost")
    agent = gateway.agent(upstream.port)
    origin = f"http://{HTTP_HOST}:{gateway.http}"
    browse(world, f"{origin}/", log.flag)
    told = _told(page)
    same(told["protocol"], "http/1.1", "what the page came over")
    _page_works(world, page, told, origin)
    upgrades = [event for event in log.events(OVER_HTTP1) if "Upgrade: websocket" in event["headers"]]
    same(len(upgrades), page.sockets, "WebSockets over HTTP/1.1, of those that reached the service")
    assert agent.running()
    gateway.nothing_in_flight()


@limit(120)
def a_browser_speaks_http2_over_tls_and_so_do_its_websockets(world):
    """The authority of the check is in the browser's own store, so certificates are checked as ever."""
    page, log = _Page(), NetLog(world)
    tunnel, authority, https = secure_tunnel(world, routes=page.routes)
    trust(world, authority)
    with contextlib.closing(Network(https)) as network:
        origin = f"https://{HTTPS_HOST}:{network.port}"
        browse(world, f"{origin}/", log.flag, f"--host-resolver-rules=MAP {HTTPS_HOST} 127.0.0.1")
        told = _told(page)
        connections = network.made
    same(told["protocol"], "h2", "what the page came over")
    _page_works(world, page, told, origin)
    same(told["protocols"], ["h2"], "what everything that the page loaded came over")
    websockets = [head for head in until(log.headers, "the browser's log holds requests") if head.get(":protocol") == "websocket"]
    same({(head[":method"], head[":path"]) for head in websockets}, {("CONNECT", "/socket"), ("CONNECT", "/refuses")}, "WebSockets over HTTP/2")
    same(len(websockets), page.sockets, "WebSockets over HTTP/2, of those that reached the service")
    same(log.events(OVER_HTTP1), [], "requests over HTTP/1.1")
    world.note(f"{len(websockets)} WebSockets over HTTP/2, {connections} connections in all")
    assert tunnel.agent.running()
    tunnel.gateway.nothing_in_flight()


@once
@limit(60)
def a_browser_without_the_authority_shows_no_page(world):
    """So the checks above have really checked certificates."""
    page = _Page()
    _, _, https = secure_tunnel(world, routes=page.routes)
    done = world.run(chromium(), *FLAGS, f"--user-data-dir={world.folder / 'profile'}", f"--host-resolver-rules=MAP {HTTPS_HOST} 127.0.0.1", "--dump-dom",
                     f"https://{HTTPS_HOST}:{https}/", limit=50)
    assert "ERR_CERT_AUTHORITY_INVALID" in done.stderr, f"what the browser says: {done.stderr[-800:]!r}"
    same(page.report, None, "what the page has told")


@limit(90)
def a_browser_is_shown_a_page_when_the_agent_is_away(world):
    gateway = world.gateway("--domain", "localhost")
    done = world.run(chromium(), *FLAGS, f"--user-data-dir={world.folder / 'profile'}", "--dump-dom", f"http://myapp.localhost:{gateway.http}/", limit=60)
    for part in ("<h1", "404", "agent offline"):
        assert part in done.stdout.lower(), f"{part} is not on the page: {done.stdout[:800]!r}"


def _told(page):
    """What the page saw, once it has said it."""
    told = until(lambda: page.report, "the page has told what it saw", 90)
    assert "error" not in told, f"{told['error']}; so far {json.dumps(told)[:600]}"
    return told


def _page_works(world, page, told, origin):
    same(told["host"], origin.split("//")[1], "the page's host")
    same(told["socket"], {"protocol": "chat", "extensions": "", "texts": [True, True, True], "binary": True}, "the WebSocket")
    same(told["serverCloses"], {"code": 4001, "reason": "enough", "wasClean": True}, "a close by the service")
    same(told["clientCloses"]["wasClean"], True, "a close by the page")
    assert (3005, b"bye") in page.closes, f"close codes at the service: {page.closes}"
    same((told["serviceBreaks"]["code"], told["serviceBreaks"]["wasClean"]), (1006, False), "a WebSocket that the service broke")
    same((told["refused"], told["stillOpen"], told["end"]), (True, "still there", 1000), "a refused WebSocket, and the one that stayed open")
    same(page.origins, {origin}, "Origin at the service")

    same(told["events"], [[str(number), f"event {number}"] for number in range(1, 9)], "events")
    same(page.last_ids, [None, "4"], "Last-Event-ID of the two connections")

    sent = [loaded for loaded, _, _ in told["upload"]["progress"]]
    total = told["upload"]["progress"][-1][1]
    same((told["upload"]["status"], told["upload"]["answer"]), (200, str(total)), "the upload")
    steps = len({loaded for loaded in sent if 0 < loaded < total})
    world.note(f"{len(sent)} progress events, {steps} on the way")
    assert steps >= 3, f"progress of the upload: {told['upload']['progress']}"
    same(sent, sorted(sent), "the order of progress")

    same(told["streamed"], [f"piece {number}\n" for number in range(10)], "pieces of a stream, each before the next was made")
    same(told["methods"], {method: method for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")}, "methods")
    same(told["cookie"], "a=1; b=two", "cookies")
    same(told["broken"], "TypeError", "a response that breaks off")
    same(told["aborted"], "AbortError", "a fetch that the page aborted")
    until(lambda: page.left, "the service is told of it", 3)


class _Page:
    """The service, and what it saw."""

    def __init__(self):
        self.report, self.closes, self.last_ids, self.origins, self.left = None, [], [], set(), False
        self.sockets = 0
        self._seen, self._next, self._held = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
        self.routes = {
            "/": lambda exchange: exchange.respond(200, PAGE.read_bytes(), [("content-type", "text/html; charset=utf-8")]),
            "/favicon.ico": lambda exchange: exchange.respond(204), "/socket": self.socket, "/events": self.events, "/upload": self.upload,
            "/stream": self.stream, "/report": self.take_report, "/hold": self.hold, "/held": self.held,
            "/refuses": self.refuses,
            "/seen": lambda exchange: (self._seen.release(), exchange.respond(204)), "/next": lambda exchange: (self._next.release(), exchange.respond(204)),
            "/method": lambda exchange: exchange.respond(200, b"x", [("x-method", exchange.method)]),
            "/cookie": lambda exchange: exchange.respond(200, b"x", [("set-cookie", "a=1"), ("set-cookie", "b=two; path=/")]),
            "/breaks": self.breaks,
        }

    def socket(self, exchange):
        self.sockets += 1
        self.origins.add(exchange.header("origin"))
        assert exchange.header("sec-websocket-protocol") == "superchat, chat", exchange.header("sec-websocket-protocol")
        accepted = websocket.Accepted(exchange, protocol="chat")
        message, kind, closing = b"", 0, False
        while got := accepted.read_fragment():
            opcode, payload, final = got
            if opcode == websocket.CLOSE:
                self.closes.append((int.from_bytes(payload[:2], "big"), payload[2:]))
                return None if closing else accepted.send(websocket.CLOSE, payload)
            if opcode in (websocket.PING, websocket.PONG):
                continue
            message, kind = message + payload, opcode or kind
            if not final:
                continue
            if message == b"break":
                return exchange.reset()
            if message.startswith(b"close "):
                closing = True
                accepted.send(websocket.CLOSE, (4001).to_bytes(2, "big") + b"enough")
            else:
                accepted.send(kind, message)
            message = b""
        return None

    def refuses(self, exchange):
        self.sockets += 1
        exchange.respond(403, b"no")

    def events(self, exchange):
        self.last_ids.append(exchange.header("last-event-id"))
        first = int(exchange.header("last-event-id") or 0) + 1
        exchange.start(200, [("content-type", "text/event-stream"), ("cache-control", "no-store")], chunked=True, first=b"retry: 50\n\n: hello\n\n")
        for number in range(first, first + 4):  # then the stream ends, and the browser comes back for the rest
            exchange.write(f"id: {number}\ndata: event {number}\n\n".encode())
            self._seen.acquire(timeout=5)  # the next one only when the page has this one
        exchange.finish()

    def upload(self, exchange):
        size = 0
        for piece in exchange.body():
            size += len(piece)
            if size < 12 << 20:
                time.sleep(0.002)  # a service that takes its time: the page must see how far it is
        exchange.respond(200, str(size).encode())

    def stream(self, exchange):
        exchange.start(200, [("content-type", "text/plain")], chunked=True)
        for number in range(10):
            exchange.write(f"piece {number}\n".encode())
            self._next.acquire(timeout=5)
        exchange.finish()

    def breaks(self, exchange):
        exchange.start(200, length=1000, first=b"only this")
        self._next.acquire(timeout=5)  # the page has the head
        exchange.hang_up()

    def hold(self, exchange):
        self._held.set()
        self.left = exchange.closed_by_peer(10) is not None
        exchange.hang_up()

    def held(self, exchange):
        self._held.wait(5)
        exchange.respond(204)

    def take_report(self, exchange):
        self.report = json.loads(b"".join(exchange.body()))
        exchange.respond(204)
