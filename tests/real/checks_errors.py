"""What a client is told when something is wrong, and what it costs."""

import json
import time
import uuid

from kit.client import Connection, Truncated, is_cut
from kit.marks import limit, once, slow_only
from kit.process import free_port
from kit.waiting import same, until, within


def an_upstream_that_is_down_is_a_502_upstream_refused(world):
    gateway = world.gateway()
    port = free_port()
    gateway.agent(port)
    reply = gateway.curl("/")
    same((reply.exit, reply.status, reply.header("indranet-error")), (0, 502, "upstream_refused"), "the answer")
    _has_request_id(reply)
    assert str(port) not in reply.body.decode(), "the upstream's address is told to the outside"
    same(gateway.curl("/", "--data-binary", "x=1").header("indranet-error"), "upstream_refused", "POST")
    world.upstream("late", port=port)
    until(lambda: gateway.status_of("/") == 200, "requests succeed once the upstream is up", 3)


def a_silent_upstream_is_a_504_and_its_connection_is_closed(world):
    _silent(world, 2, "--response-timeout", "2s")


@slow_only
def a_silent_upstream_is_given_10_seconds_by_default(world):
    _silent(world, 10)


def the_limit_ends_with_the_head(world):
    def slow_body(exchange):
        exchange.start(200, length=3, first=b"1")
        for piece in (b"2", b"3"):
            time.sleep(1.2)
            exchange.write(piece)

    reply = world.tunnel("--response-timeout", "2s", routes={"/slow": slow_body}).curl("/slow")
    same((reply.exit, reply.status, reply.body), (0, 200, b"123"), "a body slower than the limit")


def an_upstream_that_speaks_nonsense_is_a_502(world):
    def nonsense(octets):
        def route(exchange):
            exchange.send(octets)
            exchange.hang_up()
        return route

    tunnel = world.tunnel(routes={
        "/noise": nonsense(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "/status": nonsense(b"HTTP/1.1 9999 Huh\r\n\r\n"), "/nothing": nonsense(b""),
        "/half": nonsense(b"HTTP/1.1 200 OK\r\nx-half"), "/lengths": nonsense(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc")})
    for path in ("/noise", "/status", "/nothing", "/half", "/lengths"):
        reply = tunnel.curl(path, limit=5)
        same((reply.exit, reply.status), (0, 502), f"{path} ({reply.header('indranet-error')})")
        assert (reply.header("indranet-error") or "").startswith("upstream_"), f"{path}: {reply.header('indranet-error')}"
        _has_request_id(reply)
    same(tunnel.curl("/").status, 200, "the next request")
    tunnel.gateway.nothing_in_flight()


@once
def an_unknown_host_is_a_404_agent_not_found(world):
    gateway = world.gateway()
    for host in ("nobody.tunnel.test", "tunnel.test", "myapp.evil.example", "127.0.0.1", "a.myapp.tunnel.test", "myapptunnel.test"):
        reply = gateway.curl("/", "-H", f"Host: {host}")
        same((reply.exit, reply.status, reply.header("indranet-error")), (0, 404, "agent_not_found"), host)
        _has_request_id(reply)


@once
def a_known_agent_that_is_away_is_a_404(world):
    reply = world.gateway().curl("/")
    same(reply.status, 404, "the answer")
    world.note(f"indranet-error: {reply.header('indranet-error')}")


@once
def no_host_two_hosts_and_invalid_hosts_are_a_400_bad_host(world):
    gateway = world.gateway()
    requests = {
        "no Host": b"GET / HTTP/1.1\r\n\r\n",
        "no Host in HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
        "two Hosts": b"GET / HTTP/1.1\r\nHost: a.tunnel.test\r\nHost: b.tunnel.test\r\n\r\n",
        "the same Host twice": b"GET / HTTP/1.1\r\nHost: a.tunnel.test\r\nHost: a.tunnel.test\r\n\r\n",
        "an empty Host": b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "a Host with a path": b"GET / HTTP/1.1\r\nHost: a.tunnel.test/x\r\n\r\n",
        "a Host with userinfo": b"GET / HTTP/1.1\r\nHost: u@a.tunnel.test\r\n\r\n",
        "two names in one Host": b"GET / HTTP/1.1\r\nHost: a.tunnel.test, b.tunnel.test\r\n\r\n",
        "8-bit bytes in Host": b"GET / HTTP/1.1\r\nHost: \xe9.tunnel.test\r\n\r\n",
    }
    wrong = []
    for name, request in requests.items():
        with Connection(gateway.http, timeout=5) as connection:
            connection.send(request)
            try:
                code, headers = connection.head()
            except (OSError, Truncated):
                code, headers = 0, []
        error = dict(headers).get("indranet-error", b"").decode()
        if (code, error) != (400, "bad_host"):
            wrong.append(f"{name}: {code} {error or '(no indranet-error)'}")
        elif "x-request-id" not in dict(headers):
            wrong.append(f"{name}: no x-request-id")
    same(wrong, [], "wrong answers")


@once
def error_bodies_come_as_the_client_accepts_them(world):
    gateway = world.gateway()
    for accept, kind in (("application/problem+json", "application/problem+json"), ("application/json", "application/problem+json"),
                         ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("text/plain", "text/plain")):
        reply = gateway.curl("/", "-H", f"Accept: {accept}", "-H", "Host: nobody.tunnel.test")
        same((reply.status, (reply.header("content-type") or "").split(";")[0]), (404, kind), f"Accept: {accept}")
        identity, text = reply.header("x-request-id"), reply.body.decode()
        if kind == "application/problem+json":
            problem = json.loads(text)
            same(problem["status"], 404, "status in the problem")
            assert problem.get("title") and "type" in problem, f"RFC 9457 members are missing: {problem}"
            assert "agent_not_found" in text and identity in text, f"code and request id belong in the body: {text}"
        elif kind == "text/html":
            assert "<html" in text.lower() and identity in text and text.lower().startswith("<!doctype html"), text
        else:
            same(len(text.strip().splitlines()), 1, f"one line of text, not {text!r}")
    hostile = gateway.curl("/%3Cscript%3E", "-H", "Accept: text/html", "-H", "Host: <script>alert(1)</script>.tunnel.test")
    assert b"<script>alert" not in hostile.body, "the Host is echoed into the page"


def a_link_that_is_lost_before_the_head_is_a_502(world):
    def silent(exchange):
        exchange.closed_by_peer(10)

    tunnel = world.tunnel(routes={"/silent": silent})
    waiting = world.background(tunnel.curl, "/silent", "--request", "POST")
    until(lambda: tunnel.upstream.last("/silent"), "the request arrives")
    tunnel.agent.kill()
    reply = waiting.result(10)
    same((reply.exit, reply.status, reply.header("indranet-error")), (0, 502, "tunnel_lost"), "the answer")
    _has_request_id(reply)
    tunnel.gateway.nothing_in_flight()


def a_link_that_is_lost_within_the_body_is_an_aborted_response(world):
    def endless(exchange):
        exchange.start(200, length=1000, first=b"x" * 10)
        exchange.closed_by_peer(10)

    tunnel = world.tunnel(routes={"/endless": endless})
    with tunnel.connection() as connection:
        connection.request("GET", "/endless", tunnel.host())
        code, headers = connection.head()
        body = connection.body(code, headers)
        same(next(body), b"x" * 10, "the beginning")
        tunnel.agent.kill()
        assert is_cut(body), "the body ended cleanly"
    tunnel.gateway.nothing_in_flight()


@limit(90)
def more_requests_than_allowed_are_a_503_with_retry_after(world):
    def hold(exchange):
        exchange.closed_by_peer(30)

    tunnel = world.tunnel("--max-concurrent", "4", routes={"/hold": hold})
    held = []
    for _ in range(4):
        held.append(tunnel.connection())
        held[-1].request("GET", "/hold", tunnel.host())
    until(lambda: tunnel.upstream.count("/hold") == 4, "four requests are held")
    reply = tunnel.curl("/")
    same((reply.status, reply.header("indranet-error")), (503, "overloaded"), "the fifth")
    assert reply.header("retry-after"), "no Retry-After"
    for connection in held:
        connection.close()
    until(lambda: tunnel.gateway.status_of("/") == 200, "requests succeed again", 3)


def _silent(world, seconds, *flags):
    closed = []

    def silent(exchange):
        closed.append(exchange.closed_by_peer(seconds + 10))

    tunnel = world.tunnel(*flags, routes={"/silent": silent})
    reply = tunnel.curl("/silent")
    same((reply.exit, reply.status, reply.header("indranet-error")), (0, 504, "response_timeout"), "the answer")
    _has_request_id(reply)
    within(reply.seconds, seconds - 0.1, seconds + 3.5, "seconds until the answer")
    until(lambda: closed, "the upstream connection is closed", 3.5)
    assert closed[0] is not None, "the upstream connection stayed open"
    world.note(f"504 after {reply.seconds:.2f} s")
    tunnel.gateway.nothing_in_flight()
    same(tunnel.curl("/").status, 200, "the next request")


def _has_request_id(reply):
    same(len(reply.values("x-request-id")), 1, "x-request-id fields")
    uuid.UUID(reply.header("x-request-id"))
