"""nginx and haproxy before the gateway and behind the agent: the service sees the same, and the client does too."""

import os
import threading

from kit import websocket
from kit.client import Connection
from kit.data import MIB, data, sha256
from kit.marks import limit
from kit.process import free_port
from kit.proxies import listening
from kit.waiting import Skip, same, until
from kit.world import require

# What proxies say of themselves and of the way; everything else must be as without them.
OF_THE_WAY = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded", "x-request-id", "via", "x-real-ip", "connection",
              "keep-alive", "date", "server", "transfer-encoding"}
REQUESTS = (
    ("GET", "/show?a=1&b=%20%2F&c=%C3%A9&d=a+b", [("x-b", "1"), ("accept", "text/html;q=0.5, */*"), ("x-b", "2"), ("x-latin", b"caf\xe9 \xff")], None),
    ("GET", "/show/a%2Fb//c;d=1", [("cookie", "a=1; b=2"), ("authorization", "Bearer abc"), ("user-agent", "x/1"), ("x-empty", "")], None),
    ("HEAD", "/show?head", [("if-none-match", "\"v1\"")], None),
    ("POST", "/show?length", [("content-type", "text/plain")], b"a body with a length"),
    ("POST", "/show?empty", [("content-length", "0")], b""),
    ("PUT", "/show?chunked", [("transfer-encoding", "chunked")], b"a body in chunks"),
    ("DELETE", "/show?delete", [("range", "bytes=0-9")], None),
    ("OPTIONS", "/show?options", [("origin", "http://page.test"), ("access-control-request-method", "PUT")], None),
    ("PATCH", "/show?patch", [("te", "trailers"), ("accept-encoding", "gzip, br")], b"p"),
)


@limit(90)
def nginx_before_the_gateway_changes_nothing(world):
    _same_with(world, lambda port: _nginx(world, port))


@limit(90)
def haproxy_before_the_gateway_changes_nothing(world):
    _same_with(world, lambda port: _haproxy(world, port))


@limit(90)
def haproxy_that_speaks_http2_to_the_gateway_changes_nothing(world):
    _same_with(world, lambda port: _haproxy(world, port, server="proto h2"))


@limit(90)
def nginx_behind_the_agent_changes_nothing(world):
    _same_with(world, behind=lambda port: _nginx(world, port))


@limit(90)
def haproxy_behind_the_agent_changes_nothing(world):
    _same_with(world, behind=lambda port: _haproxy(world, port))


@limit(90)
def haproxy_on_both_sides_changes_nothing(world):
    _same_with(world, lambda port: _haproxy(world, port), lambda port: _haproxy(world, port))


@limit(90)
def nginx_that_speaks_http2_behind_the_agent_changes_nothing(world):
    _needs_http2_agent(world)
    _same_with(world, behind=lambda port: _nginx(world, port, listen=" http2"), target="h2c://127.0.0.1:{}".format, websockets=False)


@limit(90)
def haproxy_that_speaks_http2_behind_the_agent_changes_nothing(world):
    _needs_http2_agent(world)
    _same_with(world, behind=lambda port: _haproxy(world, port, bind=" proto h2"), target="h2c://127.0.0.1:{}".format, websockets=False)


def _same_with(world, before=None, behind=None, target=str, websockets=True):
    """The same requests with and without the proxies; what is different is what fails."""
    service = world.upstream("myapp", {"/show": _show, "/show/*": _show, "/events": _events, "/talk": _talk})
    gateway = world.gateway(agents=("plain", "proxied"))
    gateway.agent(service.port, "plain")
    gateway.agent(target(behind(service.port)) if behind else service.port, "proxied")
    port = before(gateway.http) if before else gateway.http
    for method, path, headers, body in REQUESTS:
        plain = _ask(service, gateway.http, "plain.tunnel.test", method, path, headers, body)
        proxied = _ask(service, port, "proxied.tunnel.test", method, path, headers, body)
        for what in plain:
            same(proxied[what], plain[what], f"{method} {path}: {what}")
    with Connection(port) as connection:
        big = data(5 * MIB)
        # One after the other: nginx itself stalls now and then on an echo that is read while it is written.
        connection.request("POST", "/measure", "proxied.tunnel.test", body=big)
        same(connection.response().json()["sha256"], sha256([big]), "an upload of 5 MiB")
        connection.request("GET", f"/chunked/{5 * MIB}", "proxied.tunnel.test")
        code, headers = connection.head()
        same((code, sha256(connection.body(code, headers))), (200, sha256([big])), "a download of 5 MiB")
        connection.request("GET", "/events", "proxied.tunnel.test")
        code, headers = connection.head()
        pieces = connection.body(code, headers)
        for number in range(5):
            same(next(pieces), b"data: %d\n\n" % number, "an event")
            service.more.release()
        same(b"".join(pieces), b"", "the end of the events")
    if websockets:
        _websocket(port)
    gateway.nothing_in_flight()


def _ask(service, port, host, method, path, headers, body):
    before = len(service.seen)
    with Connection(port, timeout=10) as connection:
        if dict(headers).get("transfer-encoding"):
            connection.request(method, path, host, headers)
            connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            connection.request(method, path, host, headers, body or b"")
        reply = connection.response(method)
    until(lambda: any(exchange.target == path for exchange in service.seen[before:]), f"{method} {path} arrives")
    seen = next(exchange for exchange in service.seen[before:] if exchange.target == path)
    fields = [(name.lower().decode(), value) for name, value in seen.headers]
    chunked = dict(headers).get("transfer-encoding")  # how a body without a length arrives depends on whether its end is there with its head
    ignored = OF_THE_WAY | {"host"} | ({"content-length"} if chunked else set())
    return {
        "method and target at the service": (seen.method, seen.target),
        "body at the service": seen.received,
        "fields at the service": _grouped([field for field in fields if field[0] not in ignored]),
        "name of the service": (seen.header("host") or "").split(".")[1:],
        "framing at the service": "any" if chunked else "chunked" if seen.header("transfer-encoding") else seen.header("content-length"),
        "status": reply.status, "body": reply.body,
        "fields at the client": _grouped([field for field in reply.headers if field[0] not in OF_THE_WAY]),
    }


def _grouped(fields):
    """Proxies may put fields of different names in another order, never those of one name."""
    return sorted(fields, key=lambda field: field[0])


def _show(exchange):
    exchange.received = b"".join(exchange.body())
    fields = [("x-b", "1"), ("set-cookie", "a=1; path=/"), ("x-b", "2"), ("set-cookie", "b=2"), ("x-latin", b"caf\xe9 \xff"), ("etag", "\"v1\""), ("content-type", "text/plain"),
              ("cache-control", "no-store"), ("vary", "accept, origin")]
    if "head" in exchange.target:
        exchange.start(200, fields, length=4242)
    else:
        exchange.respond(418 if "delete" in exchange.target else 200, b"the answer", fields)


def _events(exchange):
    exchange.upstream.more = threading.Semaphore(0)
    exchange.start(200, [("content-type", "text/event-stream"), ("x-accel-buffering", "no")], chunked=True)
    for number in range(5):
        exchange.write(b"data: %d\n\n" % number)
        exchange.upstream.more.acquire(timeout=5)
    exchange.finish()


def _talk(exchange):
    accepted = websocket.Accepted(exchange, protocol="chat")
    while got := accepted.read():
        accepted.send(*got)
        if got[0] == websocket.CLOSE:
            return


def _websocket(port):
    with Connection(port, timeout=10) as connection:
        connection.request("GET", "/talk", "proxied.tunnel.test", [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", "13"),
                                                                   ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-protocol", "chat")])
        code, headers = connection.head()
        same((code, dict(headers).get("sec-websocket-accept"), dict(headers).get("sec-websocket-protocol")), (101, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", b"chat"), "the switch")
        for size in (0, 5, 70000, MIB):
            connection.send(websocket.frame(websocket.BINARY, data(size), masked=True))
            expected = websocket.frame(websocket.BINARY, data(size))
            same(sha256([connection.reader.read(len(expected))]), sha256([expected]), f"an echo of {size} bytes")
        connection.send(websocket.frame(websocket.CLOSE, b"\x0f\xa1bye", masked=True))
        same(connection.reader.read(), websocket.frame(websocket.CLOSE, b"\x0f\xa1bye"), "the close, with its code")


def _needs_http2_agent(world):
    if "--upstream-protocol" not in world.run(world.tool("agent-tunnel"), "connect", "--help").stdout:
        raise Skip("this agent has no --upstream-protocol: it speaks HTTP/1.1 to services")


def _nginx(world, target, listen=""):
    """nginx on a port of its own, set up as for any service with WebSockets."""
    nginx = require("nginx")
    port = free_port()
    folder = world.folder / f"nginx-{port}"
    folder.mkdir()
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(
        ("user root;\n" if os.geteuid() == 0 else "") + f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn; events {{ }}\n"
        f"http {{ access_log off; {temporary} map $http_upgrade $switch {{ default upgrade; '' ''; }}\n"
        f"server {{ listen 127.0.0.1:{port}{listen}; client_max_body_size 0; location / {{ proxy_pass http://127.0.0.1:{target}; proxy_http_version 1.1;\n"
        "proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $switch; proxy_set_header TE $http_te;\n"
        "proxy_request_buffering off; proxy_buffering off; proxy_pass_header Server; } } }\n")
    return listening(world, "nginx", [nginx, "-p", folder, "-c", config], port)


def _haproxy(world, target, server="", bind=""):
    port = free_port()
    config = world.folder / f"haproxy-{port}.cfg"
    config.write_text(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  timeout tunnel 1m\n"
        f"frontend front\n  bind 127.0.0.1:{port}{bind}\n  option forwardfor\n  default_backend back\nbackend back\n  server one 127.0.0.1:{target} {server}\n")
    return listening(world, "haproxy", [require("haproxy"), "-db", "-f", config], port)
