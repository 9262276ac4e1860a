"""curl, nghttp and h2load as people use them: HTTP/2, large uploads, Expect, load."""

import re
import subprocess

from kit.client import curl_command
from kit.data import GIB, MIB, blocks, data, sha256, sha256_of
from kit.marks import limit
from kit.waiting import same, until
from kit.world import require

H2 = "--http2-prior-knowledge"


def curl_speaks_http2(world):
    tunnel = world.tunnel()
    reply = tunnel.curl("/headers?a=%20b", H2)
    same((reply.exit, reply.status, reply.json()["target"]), (0, 200, "/headers?a=%20b"), "GET")
    same(tunnel.upstream.last("/headers").values("host"), [tunnel.host().encode()], "Host")
    for size in (0, 1, 20000, 5 * MIB):
        reply = tunnel.curl("/echo", H2, "--data-binary", "@-", data=data(size))
        same((reply.exit, reply.status, sha256([reply.body])), (0, 200, sha256([data(size)])), f"an echo of {size} bytes")
    reply = tunnel.curl("/bytes/99", H2, "--head")
    same((reply.exit, reply.status, reply.header("content-length")), (0, 200, "99"), "HEAD")
    same(tunnel.curl("/status/204", H2).status, 204, "204")
    same(tunnel.curl("/range", H2, "--range", "100-199").status, 206, "a range")
    missing = tunnel.curl("/", H2, "-H", "Host: nobody.tunnel.test")
    same((missing.exit, missing.status, missing.header("indranet-error")), (0, 404, "agent_not_found"), "an unknown host")
    upgraded = tunnel.curl("/", "--http2")  # asks for h2c by Upgrade, which nobody need grant
    same((upgraded.exit, upgraded.status), (0, 200), "curl --http2 without prior knowledge")


def nghttp_gets_everything(world):
    nghttp = require("nghttp")
    tunnel = world.tunnel()
    base = f"http://127.0.0.1:{tunnel.gateway.http}"
    done = world.run(nghttp, "-nv", "-H", f":authority: {tunnel.host()}", f"{base}/bytes/100000", f"{base}/", f"{base}/status/404", f"{base}/chunked/70000")
    same(done.returncode, 0, f"exit ({done.stderr[-300:]})")
    statuses = sorted(re.findall(r"recv \(stream_id=\d+\) :status: (\d+)", _plain(done.stdout)))
    same(statuses, ["200", "200", "200", "404"], "statuses")
    assert "RST_STREAM" not in done.stdout and "error_code=PROTOCOL_ERROR" not in done.stdout, done.stdout[-600:]
    source = world.folder / "source"
    source.write_bytes(data(3 * MIB))
    done = subprocess.run([nghttp, "-H", f":authority: {tunnel.host()}", "-H", ":method: POST", "-d", source, f"{base}/echo"], capture_output=True, timeout=30)
    same((done.returncode, sha256([done.stdout])), (0, sha256_of(3 * MIB)), "an echo")
    done = world.run(nghttp, "-nv", "--trailer", "x-sum: 1", "-H", f":authority: {tunnel.host()}", "--no-content-length", "-d", source, f"{base}/measure")
    same(done.returncode, 0, "exit with a trailer")
    same(tunnel.upstream.last("/measure").trailers, [(b"x-sum", b"1")], "the trailer at the service")


@limit(120)
def h2load_is_answered_200_every_time(world):
    h2load = require("h2load")
    tunnel = world.tunnel()
    base = f"http://127.0.0.1:{tunnel.gateway.http}"
    for name, options in (("http/2, 4 connections of 25 streams", ["-n", "4000", "-c", "4", "-m", "25"]), ("http/2, 20 connections", ["-n", "2000", "-c", "20", "-m", "1"]),
                          ("http/1.1, 8 connections", ["-n", "2000", "-c", "8", "--h1"])):
        host = ["-H", f":authority: {tunnel.host()}"]
        done = world.run(h2load, *options, *host, f"{base}/", limit=60)
        assert re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", done.stdout), f"{name}: {done.stdout[-700:]} {done.stderr[-300:]}"
        same(re.search(r"requests: .*", done.stdout)[0].split(", ")[-3:], ["0 failed", "0 errored", "0 timeout"], name)
        world.note(f"{name}: {re.search(r'([0-9.]+) req/s', done.stdout)[1]} a second")
    done = world.run(h2load, "-n", "200", "-c", "4", "-m", "10", "-H", f":authority: {tunnel.host()}", f"{base}/bytes/1000000", limit=60)
    assert "200 2xx" in done.stdout, f"large responses: {done.stdout[-700:]}"
    source = world.folder / "source"
    source.write_bytes(data(MIB))
    done = world.run(h2load, "-n", "100", "-c", "2", "-m", "10", "-d", source, "-H", f":authority: {tunnel.host()}", f"{base}/measure", limit=60)
    assert "100 2xx" in done.stdout, f"uploads: {done.stdout[-700:]}"
    tunnel.gateway.nothing_in_flight()


@limit(120, slow=900)
def curl_uploads_a_large_body_in_chunks(world):
    size = 5 * GIB if world.slow else 200 * MIB
    tunnel = world.tunnel()
    for process in tunnel.processes():
        process.forget_peak()
    expected = sha256_of(size)
    for name, options in (("http/1.1", []), ("http/2", [H2])):
        command = curl_command(tunnel.gateway.public_url("/measure"), "-T", "-", "-X", "POST", "-H", "Expect:", *options, "--max-time", "800")
        done = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        reading = world.background(done.stdout.read)
        for piece in blocks(size):
            done.stdin.write(piece)
        done.stdin.close()
        told = reading.result(60)
        same(done.wait(10), 0, f"curl's exit over {name}")
        assert f'"sha256": "{expected}", "bytes": {size}'.encode() in told, f"over {name}: {told}"
        same(tunnel.upstream.last("/measure").header("transfer-encoding"), "chunked", f"framing over {name}")
    for process in tunnel.processes():
        peak = process.peak_rss() / MIB
        world.note(f"{process.name} peak {peak:.1f} MiB")
        assert peak < 64, f"{process.name} had {peak:.1f} MiB of memory"


def a_body_that_the_service_refuses_before_100_is_never_sent(world):
    arrived = {}

    def refuse(exchange):
        code = int(exchange.path[1:])
        exchange.send(b"HTTP/1.1 %d Refused\r\nx-why: no\r\nconnection: close\r\ncontent-length: 3\r\n\r\nno\n" % code)
        arrived[code] = b""
        exchange.connection.settimeout(3)
        try:
            while piece := exchange.reader.read1(65536):
                arrived[code] += piece
        except TimeoutError:
            arrived[code] += b"(still open)"
        exchange.hang_up()

    tunnel = world.tunnel(routes={f"/{code}": refuse for code in (401, 413, 417)})
    for code in (401, 413, 417):
        for framing in ([], ["-H", "Transfer-Encoding: chunked"]):
            arrived.clear()
            command = curl_command(tunnel.gateway.public_url(f"/{code}"), "-H", "Expect: 100-continue", "--expect100-timeout", "10", "--data-binary", "@-", "-i",
                                   "-w", "\nuploaded=%{size_upload} code=%{http_code}", *framing)
            done = subprocess.run(command, input=data(3 * MIB), capture_output=True, timeout=20)
            text = done.stdout.decode()
            assert f"uploaded=0 code={code}" in text, f"{code} {framing}: {text[-300:]} {done.stderr}"
            assert "x-why: no" in text.lower(), text
            until(lambda: code in arrived, "the service saw the request")
            until(lambda: tunnel.upstream.open_connections() == 0, "the service's connection is closed", 6)
            same(arrived[code], b"", f"what of the body came to the service of {code}")
            same(tunnel.upstream.last(f"/{code}").header("expect"), "100-continue", "Expect at the service")


def _plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
