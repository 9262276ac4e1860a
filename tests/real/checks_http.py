"""Every kind of HTTP request and response, by curl through the tunnel."""

import ipaddress
import os
import shutil
import subprocess
import uuid

from kit.client import curl_command
from kit.data import GIB, KIB, MIB, blocks, data, sha256, sha256_of
from kit.load import load
from kit.marks import limit
from kit.process import accepts, free_port
from kit.upstream import RANGE_SIZE
from kit.waiting import Skip, same, until, within

MEMORY_LIMIT = 64 * MIB


def get_and_head(world):
    tunnel = world.tunnel()
    reply = tunnel.curl("/")
    same((reply.exit, reply.status, reply.body), (0, 200, b"hello from myapp\n"), "GET")
    reply = tunnel.curl("/bytes/1234", "--head")
    same((reply.exit, reply.status, reply.header("content-length"), reply.body[:0]), (0, 200, "1234", b""), "HEAD keeps the length")
    same(reply.header("transfer-encoding"), None, "HEAD's transfer-encoding")
    same(tunnel.upstream.seen[-1].method, "HEAD", "what the upstream saw")


def path_and_query_arrive_unchanged(world):
    tunnel = world.tunnel()
    for target in ("/headers?a=1&b=%20%2F&c=%C3%A9", "/headers?", "/headers?q=a+b;c&&=", "/headers?x=%00"):
        same(tunnel.curl(target).json()["target"], target, "target")
    tunnel.curl("/a%2Fb/../c//d", "--path-as-is")
    same(tunnel.upstream.seen[-1].target, "/a%2Fb/../c//d", "target with dots")


def post_of_one_byte_and_of_one_mebibyte_arrive_whole(world):
    tunnel = world.tunnel()
    for size in (1, 32 * KIB, 32 * KIB + 1, MIB):
        told = tunnel.curl("/measure", "--data-binary", "@-", data=data(size)).json()
        same((told["bytes"], told["sha256"], told["content_length"]), (size, sha256_of(size), str(size)), f"POST {size} bytes")
        same(tunnel.curl(f"/bytes/{size}").body, data(size), f"GET {size} bytes")
        same(tunnel.curl("/echo", "--data-binary", "@-", data=data(size)).body, data(size), f"echo {size} bytes")


@limit(90, slow=600)
def a_very_large_body_is_the_same_on_both_sides_in_little_memory(world):
    size = GIB if world.slow else 64 * MIB
    tunnel = world.tunnel()
    source = world.folder / "source"
    with open(source, "wb") as file:
        file.writelines(blocks(size))
    for process in tunnel.processes():
        process.forget_peak()
    reply = tunnel.curl("/measure", "--request", "POST", "--upload-file", source, limit=500)
    same(reply.exit, 0, f"curl's exit ({reply.error})")
    same((reply.json()["bytes"], reply.json()["sha256"]), (size, sha256_of(size)), "what the upstream got")
    same(reply.json()["content_length"], str(size), "declared length")
    world.note(f"up {size / MIB / reply.seconds:.0f} MiB/s")
    sink = subprocess.Popen(curl_command(tunnel.gateway.public_url(f"/bytes/{size}")), stdout=subprocess.PIPE)
    same(sha256(iter(lambda: sink.stdout.read(MIB), b"")), sha256_of(size), "what the client got")
    same(sink.wait(10), 0, "curl's exit")
    _note_and_check_memory(world, tunnel)


@limit(60, slow=400)
def a_large_chunked_upload_is_echoed_while_it_is_sent(world):
    size = (256 if world.slow else 32) * MIB
    tunnel = world.tunnel()
    source = world.folder / "source"
    with open(source, "wb") as file:
        file.writelines(blocks(size))
    for process in tunnel.processes():
        process.forget_peak()
    feed = subprocess.Popen(["cat", source], stdout=subprocess.PIPE)
    echo = subprocess.Popen(curl_command(tunnel.gateway.public_url("/echo"), "--upload-file", "-", "--request", "POST"),
                            stdin=feed.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    feed.stdout.close()
    same(sha256(iter(lambda: echo.stdout.read(MIB), b"")), sha256_of(size), "the echo")
    same((echo.wait(10), feed.wait(10)), (0, 0), "exits")
    same(tunnel.upstream.seen[-1].header("content-length"), None, "declared length")
    same(tunnel.upstream.seen[-1].header("transfer-encoding"), "chunked", "framing at the upstream")
    _note_and_check_memory(world, tunnel)


def put_delete_options_and_patch(world):
    tunnel = world.tunnel()
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        told = tunnel.curl("/measure", "--request", method, "--data-binary", "@-", data=b"twelve bytes").json()
        same((told["method"], told["bytes"]), (method, 12), method)
    for method in ("DELETE", "OPTIONS"):
        told = tunnel.curl("/measure", "--request", method).json()
        same((told["method"], told["bytes"], told["transfer_encoding"]), (method, 0, None), f"{method} without a body")


def options_for_the_whole_server_keeps_its_asterisk(world):
    tunnel = world.tunnel(routes={"*": lambda exchange: exchange.respond(200, headers=[("allow", "GET, OPTIONS")])})
    reply = tunnel.curl("/", "--request", "OPTIONS", "--request-target", "*")
    same((reply.status, reply.header("allow")), (200, "GET, OPTIONS"), "OPTIONS *")
    same(tunnel.upstream.seen[-1].target, "*", "target at the upstream")


def statuses_without_a_body(world):
    tunnel = world.tunnel()
    for code in (204, 304):
        reply = tunnel.curl(f"/status/{code}")
        same((reply.exit, reply.status, reply.body), (0, code, b""), f"{code}")
        same((reply.header("transfer-encoding"), reply.header("etag")), (None, '"v1"'), f"fields of {code}")
        same(reply.header("content-length"), None, f"content-length of {code}")


def redirects_pass_unchanged_and_can_be_followed(world):
    tunnel = world.tunnel()
    for code in (301, 302, 303, 307, 308):
        reply = tunnel.curl(f"/redirect/{code}")
        same((reply.status, reply.header("location")), (code, "/"), f"{code}")
    same(tunnel.curl("/redirect/302", "--location").body, b"hello from myapp\n", "followed")


def errors_of_the_upstream_are_its_own(world):
    tunnel = world.tunnel()
    for code in (400, 404, 418, 500, 502, 503, 504):
        reply = tunnel.curl(f"/status/{code}")
        same((reply.status, reply.body), (code, f"status {code}\n".encode()), f"{code}")
        same(reply.header("indranet-error"), None, f"indranet-error of the upstream's own {code}")


def an_upstream_cannot_forge_a_gateway_error(world):
    forge = lambda exchange: exchange.respond(200, b"x", [("indranet-error", "agent_not_found")])
    same(world.tunnel(routes={"/forge": forge}).curl("/forge").values("indranet-error"), [], "forged indranet-error")


def repeated_and_non_utf8_header_values_survive_both_ways(world):
    fields = [("x-multi", "one"), ("set-cookie", "a=1"), ("x-multi", "two"), ("set-cookie", "b=2"), ("x-latin", b"caf\xe9 \xff\xa0!"),
              ("x-empty", "")]
    tunnel = world.tunnel(routes={"/fields": lambda exchange: exchange.respond(200, b"x", fields)})
    reply = tunnel.curl("/fields", "-H", b"X-Latin: caf\xe9 \xff!", "-H", "X-Multi: one", "-H", "X-Other: 0", "-H", "X-Multi: two",
                        "-H", "X-Empty;")
    seen = tunnel.upstream.last("/fields")
    same(seen.values("x-multi"), [b"one", b"two"], "repeated request field")
    same(seen.values("x-latin"), [b"caf\xe9 \xff!"], "request field that is not UTF-8")
    same(seen.values("x-empty"), [b""], "empty request field")
    same(reply.values("x-multi"), [b"one", b"two"], "repeated response field")
    same(reply.values("set-cookie"), [b"a=1", b"b=2"], "two cookies")
    same(reply.values("x-latin"), [b"caf\xe9 \xff\xa0!"], "response field that is not UTF-8")
    same(reply.values("x-empty"), [b""], "empty response field")


def the_host_is_preserved_and_the_client_is_told_to_the_upstream(world):
    tunnel = world.tunnel()
    tunnel.curl("/headers", "-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Forwarded-Proto: gopher", "-H", "X-Forwarded-Host: evil.example",
                "-H", "Forwarded: for=6.6.6.6")
    seen = tunnel.upstream.last("/headers")
    same(seen.values("host"), [tunnel.host().encode()], "Host")
    same(seen.header("x-forwarded-for"), "127.0.0.1", "X-Forwarded-For")
    assert ipaddress.ip_address(seen.header("x-forwarded-for")).is_loopback
    same(seen.header("x-forwarded-proto"), "http", "X-Forwarded-Proto")
    same(seen.header("x-forwarded-host"), tunnel.host(), "X-Forwarded-Host")
    assert "6.6.6.6" not in (seen.header("forwarded") or ""), "a client's Forwarded was believed"


def hop_by_hop_fields_stay_at_their_hop(world):
    fields = [("connection", "x-response-hop"), ("x-response-hop", "1"), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"),
              ("x-end-to-end", "1")]
    tunnel = world.tunnel(routes={"/hops": lambda exchange: exchange.respond(200, b"x", fields)})
    reply = tunnel.curl("/hops", "-H", "Connection: x-request-hop", "-H", "X-Request-Hop: 1", "-H", "Keep-Alive: 1", "-H", "TE: gzip",
                        "-H", "Proxy-Connection: keep-alive", "-H", "X-End-To-End: 1")
    seen = tunnel.upstream.last("/hops")
    for name in ("x-request-hop", "keep-alive", "proxy-connection", "te"):
        same(seen.header(name), None, f"{name} at the upstream")
    for name in ("x-response-hop", "keep-alive", "proxy-connection"):
        same(reply.header(name), None, f"{name} at the client")
    same((seen.header("x-end-to-end"), reply.header("x-end-to-end")), ("1", "1"), "end-to-end field")


def a_range_is_answered_by_the_upstream(world):
    tunnel = world.tunnel()
    whole = data(RANGE_SIZE)
    reply = tunnel.curl("/range", "--range", "100-199")
    same((reply.status, reply.body), (206, whole[100:200]), "100-199")
    same(reply.header("content-range"), f"bytes 100-199/{RANGE_SIZE}", "Content-Range")
    same(tunnel.curl("/range", "--range", f"{RANGE_SIZE - 70000}-").body, whole[-70000:], "the end")
    same(tunnel.curl("/range", "--range", f"{RANGE_SIZE}-").status, 416, "past the end")


@limit(90)
def a_thousand_requests_on_one_connection_for_two_agents_in_turn(world):
    gateway = world.gateway(agents=("left", "right"))
    for name in ("left", "right"):
        gateway.agent(world.upstream(name).port, name)
    config = world.folder / "curl.config"
    one = ('url = "http://127.0.0.1:{port}/"\nheader = "Host: {host}"\noutput = "/dev/null"\nnoproxy = "*"\nsilent\n'
           'write-out = "%{{http_code}} %{{num_connects}} %header{{x-served-by}}\\n"\n')
    config.write_text("next\n".join(one.format(port=gateway.http, host=gateway.host(("left", "right")[i % 2])) for i in range(1000)))
    done = world.run("curl", "-q", "--config", config, limit=80)
    same(done.returncode, 0, f"curl's exit ({done.stderr[-200:]})")
    rows = [line.split() for line in done.stdout.splitlines()]
    same(len(rows), 1000, "answers")
    same([row for i, row in enumerate(rows) if row[0] != "200" or row[2] != ("left", "right")[i % 2]][:3], [], "wrong answers")
    same(sum(int(row[1]) for row in rows), 1, "connections that curl opened")


def one_link_carries_many_thousand_requests_one_after_another(world):
    """With one client at a time no two frames travel together: every bound that counts frames is met here."""
    tunnel = world.tunnel()
    link = tunnel.agent.connections_to(tunnel.gateway.link_port)
    done = load(tunnel.gateway.http, tunnel.host(), "/", clients=1, seconds=5)
    same(done["errors"], [], f"errors after {done['requests']} requests")
    same(tunnel.agent.connections_to(tunnel.gateway.link_port), link, "the link is the same")
    world.note(f"{done['requests']} requests, p50 {done['p50_ms']:.2f} ms, p99 {done['p99_ms']:.2f} ms")


def large_uploads_wait_for_the_continue_of_the_upstream(world):
    waited = []

    def strict(exchange):
        """Asks for the body only after a look at the head, as HTTP allows."""
        waited.append("100-continue" in (exchange.header("expect") or ""))
        size = sum(map(len, exchange.body()))
        exchange.respond(200, str(size).encode())

    tunnel = world.tunnel(routes={"/strict": strict})
    reply = tunnel.curl("/strict", "-H", "Expect: 100-continue", "--data-binary", "@-", data=data(300000))
    same((reply.status, reply.body), (200, b"300000"), "the answer")
    world.note(f"the upstream saw Expect: {waited[0]}")


def an_early_answer_to_a_large_upload_reaches_the_client(world):
    def refuse(exchange):
        exchange.start(413, [("connection", "close")], length=3, first=b"no\n")
        exchange.keep_alive = False
        exchange.closed_by_peer(5)
        exchange.hang_up()

    tunnel = world.tunnel(routes={"/refuse": refuse})
    with tunnel.connection() as connection:
        connection.request("POST", "/refuse", tunnel.host(), [("content-length", str(GIB))])
        connection.send(data(100000))
        code, headers = connection.head()
        same((code, b"".join(connection.body(code, headers))), (413, b"no\n"), "the answer")
    tunnel.gateway.nothing_in_flight()
    same(tunnel.curl("/").status, 200, "the next request")


def an_answer_whose_end_is_the_end_of_the_connection_is_whole(world):
    def until_close(exchange):
        exchange.start(200, [("connection", "close")])
        for piece in blocks(200000):
            exchange.write(piece)
        exchange.hang_up()

    reply = world.tunnel(routes={"/until-close": until_close}).curl("/until-close")
    same((reply.exit, reply.body), (0, data(200000)), "the body")


def an_http_1_0_client_is_served(world):
    tunnel = world.tunnel()
    reply = tunnel.curl("/chunked/100000", "--http1.0")
    same((reply.exit, reply.status, reply.body), (0, 200, data(100000)), "the answer")
    same(reply.header("transfer-encoding"), None, "no chunks for HTTP/1.0")


def trailers_of_the_upstream_reach_a_client_that_wants_them(world):
    def trailing(exchange):
        exchange.start(200, [("trailer", "x-checksum")], chunked=True, first=b"body")
        exchange.send(b"0\r\nx-checksum: 1234\r\n\r\n")

    tunnel = world.tunnel(routes={"/trailing": trailing})
    same(tunnel.curl("/trailing").body, b"body", "the body")
    raw = world.run(*curl_command(tunnel.gateway.public_url("/trailing"), "--raw", "-H", "TE: trailers")).stdout
    assert "x-checksum: 1234" in raw.lower(), f"the trailer is missing though the client said TE: trailers: {raw!r}"
    same(tunnel.curl("/").status, 200, "the next request")


def the_upstream_connection_is_used_again(world):
    tunnel = world.tunnel()
    for _ in range(20):
        same(tunnel.curl("/").status, 200, "a request")
    within(tunnel.upstream.open_connections(), 1, 2, "connections to the upstream")


def a_stale_pooled_connection_costs_no_request(world):
    """The upstream closes idle connections at once, as many servers do after a while."""
    def once_only(exchange):
        exchange.respond(200, b"ok")
        exchange.hang_up()

    tunnel = world.tunnel(routes={"/once": once_only})
    same([tunnel.curl("/once").status for _ in range(30)], [200] * 30, "statuses")


def every_form_of_target_works(world):
    upstream = world.upstream()
    gateway = world.gateway(agents=("a", "b", "c"))
    for agent_id, target in (("a", str(upstream.port)), ("b", f"127.0.0.1:{upstream.port}"), ("c", f"http://localhost:{upstream.port}")):
        gateway.agent(target, agent_id)
        same(gateway.curl("/", agent_id=agent_id).body, b"hello from upstream\n", f"connect {target}")


def the_host_is_matched_without_case_and_with_any_port(world):
    tunnel = world.tunnel()
    for host in ("MyApp.Tunnel.TEST", "myapp.tunnel.test", "myapp.tunnel.test:1"):
        same(tunnel.curl("/", "-H", f"Host: {host}").status, 200, host)


@limit(180)
def nginx_serves_files_through_the_tunnel(world):
    nginx = _nginx()
    files = world.folder / "files"
    files.mkdir()
    (files / "noise.bin").write_bytes(data(3 * MIB))
    (files / "text.txt").write_text("The same line again and again.\n" * 5000)
    port = free_port()
    config = world.folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {world.folder}/nginx.pid; error_log stderr warn; events {{ }}\n"
        f"http {{ types {{ text/plain txt; }} default_type application/octet-stream; access_log off; gzip on; gzip_types text/plain; gzip_http_version 1.0;\n"
        f"gzip_proxied any; client_body_temp_path {world.folder}/t1; proxy_temp_path {world.folder}/t2; fastcgi_temp_path {world.folder}/t3;\n"
        f"uwsgi_temp_path {world.folder}/t4; scgi_temp_path {world.folder}/t5;\n"
        f"server {{ listen 127.0.0.1:{port}; root {files}; location /dir {{ autoindex on; alias {files}; }} }} }}\n")
    config.write_text(("user root;\n" if os.geteuid() == 0 else "") + config.read_text())
    process = world.start("nginx", [nginx, "-p", world.folder, "-c", config])
    until(lambda: accepts(port) or not process.running(), "nginx listens")
    gateway = world.gateway()
    gateway.agent(port)
    whole = gateway.curl("/noise.bin")
    same((whole.exit, whole.status, whole.body), (0, 200, data(3 * MIB)), "a file")
    part = gateway.curl("/noise.bin", "--range", "1000000-1999999")
    same((part.status, part.body), (206, data(3 * MIB)[1000000:2000000]), "a range")
    parts = gateway.curl("/noise.bin", "--range", "0-9,100-109")
    assert parts.status == 206 and parts.header("content-type").startswith("multipart/byteranges"), "two ranges"
    same(gateway.curl("/noise.bin", "-H", f"If-None-Match: {whole.header('etag')}").status, 304, "If-None-Match")
    packed = gateway.curl("/text.txt", "--compressed")
    same((packed.header("content-encoding"), packed.body), ("gzip", (files / "text.txt").read_bytes()), "gzip")
    plain = gateway.curl("/text.txt")
    same((plain.header("content-encoding"), plain.header("content-length")), (None, str(len(packed.body))), "without gzip")
    same(gateway.curl("/noise.bin", "--head").header("content-length"), str(3 * MIB), "HEAD")
    same(gateway.curl("/none").status, 404, "no such file")
    resumed = world.folder / "resumed"
    resumed.write_bytes(data(3 * MIB)[:MIB])
    done = world.run(*curl_command(gateway.public_url("/noise.bin"), "--continue-at", "-", "--output", resumed))
    same((done.returncode, resumed.read_bytes() == data(3 * MIB)), (0, True), "a resumed download")


def a_request_id_is_on_every_response_and_the_same_for_the_upstream(world):
    tunnel = world.tunnel()
    seen = set()
    for path in ("/", "/status/204", "/status/500", "/bytes/100000"):
        reply = tunnel.curl(path)
        same(len(reply.values("x-request-id")), 1, f"x-request-id fields of {path}")
        same(str(uuid.UUID(reply.header("x-request-id"), version=4)), reply.header("x-request-id"), "a version 4 UUID")
        same(tunnel.upstream.seen[-1].values("x-request-id"), reply.values("x-request-id"), f"x-request-id at the upstream for {path}")
        seen.add(reply.header("x-request-id"))
    same(len(seen), 4, "different ids")
    forged = tunnel.curl("/", "-H", "X-Request-Id: forged")
    assert "forged" not in (forged.header("x-request-id") or ""), "a client chose the request id"
    same(tunnel.upstream.seen[-1].values("x-request-id"), forged.values("x-request-id"), "x-request-id of a forged one")


def _note_and_check_memory(world, tunnel):
    for process in tunnel.processes():
        peak = process.peak_rss()
        world.note(f"{process.name} peak {peak / MIB:.1f} MiB")
        assert peak < MEMORY_LIMIT, f"{process.name} had {peak / MIB:.1f} MiB of memory"


def _nginx():
    """nginx, installed if this is root on Debian: the one thing here that a bare machine lacks."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # RUNLEVEL=1: do not start the service
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "nginx-light"]):
            subprocess.run(command, env=quiet, capture_output=True, timeout=120)
        found = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not found:
        raise Skip("nginx is not installed and could not be")
    return found
