"""The kit against itself, without the tunnel: a check that fails elsewhere should not be the kit's fault."""

import sys

from kit import wire
from kit.client import Connection, curl, is_cut
from kit.data import MIB, data, sha256_of
from kit.load import load
from kit.marks import without_binaries
from kit.metrics import Metrics
from kit.process import free_port
from kit.waiting import promised, same, until, within


@without_binaries
def curl_and_the_upstream_understand_each_other(world):
    upstream = world.upstream()
    at = f"http://127.0.0.1:{upstream.port}"
    same(curl(at + "/").body, b"hello from upstream\n", "GET")
    same(curl(at + "/measure", "--data-binary", "@-", data=data(3 * MIB)).json()["sha256"], sha256_of(3 * MIB), "POST 3 MiB")
    chunked = curl(at + "/measure", "-T", "-", data=data(MIB)).json()
    same((chunked["sha256"], chunked["transfer_encoding"]), (sha256_of(MIB), "chunked"), "chunked upload")
    same(curl(at + "/echo", "--data-binary", "@-", data=data(3 * MIB)).body, data(3 * MIB), "echo")
    same(curl(at + "/chunked/100000").body, data(100000), "chunked download")
    same(curl(at + "/status/204").status, 204, "204")
    same(curl(at + "/redirect/302", "-L").body, b"hello from upstream\n", "redirect")
    same(curl(at + "/bytes/10", "--head").header("content-length"), "10", "HEAD")
    same(curl(at + "/range", "-r", "5-9").body, data(MIB)[5:10], "Range")


@without_binaries
def curl_and_the_raw_client_notice_a_cut_body(world):
    def cut(exchange):
        exchange.start(200, length=1000, first=b"x" * 10)
        exchange.hang_up()

    def cut_chunked(exchange):
        exchange.start(200, chunked=True, first=b"x" * 10)
        exchange.reset()

    upstream = world.upstream(routes={"/cut": cut, "/cut-chunked": cut_chunked})
    for path in ("/cut", "/cut-chunked"):
        reply = curl(f"http://127.0.0.1:{upstream.port}{path}")
        assert reply.exit in (18, 56), f"{path}: curl exited {reply.exit}"
        with Connection(upstream.port) as connection:
            connection.request("GET", path, "x")
            assert is_cut(connection.body(*connection.head())), f"{path}: the raw client took a cut body for a whole one"


@without_binaries
def the_upstream_notices_a_client_that_leaves(world):
    noticed = []

    def silent(exchange):
        noticed.append(exchange.closed_by_peer(5))

    upstream = world.upstream(routes={"/silent": silent})
    with Connection(upstream.port) as connection:
        connection.request("POST", "/silent", "x", body=b"never read")
        until(lambda: upstream.seen, "the request arrives")
    until(lambda: noticed, "the upstream notices")
    assert noticed[0] is not None
    until(lambda: upstream.open_connections() == 0, "the connection is forgotten")


@without_binaries
def memory_and_connections_of_a_process_are_read_right(world):
    port = free_port()
    program = (f"import socket; s = socket.create_server(('127.0.0.1', {port})); c = socket.create_connection(('127.0.0.1', {port}));"
               "x = bytearray(64 << 20); del x; print('ready', flush=True); a = s.accept(); s.accept()")
    process = world.start("python", [sys.executable, "-c", program])
    until(lambda: "ready" in process.stdout(), "the process is ready")
    within(process.peak_rss() / MIB, 64, 110, "peak RSS in MiB")
    within(process.rss() / MIB, 1, 40, "RSS in MiB")
    process.forget_peak()
    within(process.peak_rss() / MIB, 1, 40, "peak RSS in MiB after it was forgotten")
    same(len(process.connections_to(port)), 1, "connections")
    process.freeze()
    process.thaw()
    assert process.running()


@without_binaries
def a_promise_may_be_broken_once_and_by_little(world):
    def kept(*times):
        """The time that counts, and how many attempts were not made; None if the promise does not hold."""
        left = list(times)
        try:
            return promised(1, lambda: left.pop(0), "it"), len(left)
        except AssertionError:
            return None

    same([kept(0.5, 9), kept(2.9, 1), kept(1.1, 1.2, 0.5), kept(3.1, 0.5), kept(2, 3.1)], [(0.5, 1), (1, 0), None, None, None], "promises")


@without_binaries
def a_load_is_counted(world):
    upstream = world.upstream()
    done = load(upstream.port, "x", "/", clients=4, seconds=0.5)
    same(done["errors"], [], "errors")
    assert done["requests"] > 100, done


@without_binaries
def signatures_match_the_golden_vectors(world):
    pb = wire.messages()
    request = pb.ConnectRequest(agent_id="myapp", token="itk_k3v9", timestamp=1_790_000_000_123, nonce=bytes(range(0xa0, 0xb0)),
                                protocol_version=1, features=[pb.FEATURE_DRAIN, pb.FEATURE_TRAILERS], initial_window=65536,
                                instance_id="0f8fad5b-d9cb-469f-a165-70867728950e")
    secret = bytes(range(32))
    same(wire.sign(secret, wire.connect_transcript(request, "tunnel.example.com")).hex(),
         "85fca6d3df5f64045d20206380b248ad4222794a39ca2bce5524235fd1cec889", "connect signature")
    same(wire.sign(secret, wire.accept_transcript(request.nonce, "7c9e6679-7425-40de-944b-e07fc1f90ae7", "gw-1")).hex(),
         "6265dbb1e14e7cf44e748f77696267d9af8f017c3566d617639e34b13a889a84", "accept signature")
    credential = "itk_k3v9_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    same((wire.token_of(credential), wire.secret_of(credential)), ("itk_k3v9", secret), "the halves of a credential")
    tricky = "itk_k3v9_" + "_" * 43
    same((wire.token_of(tricky), len(wire.secret_of(tricky))), ("itk_k3v9", 32), "a secret made of underscores")


@without_binaries
def prometheus_text_is_read_right(world):
    metrics = Metrics('# HELP a_in_flight x\n# TYPE a_in_flight gauge\na_in_flight{t="grpc"} 2\na_in_flight{t="ws"} 1\n'
                      '# TYPE b counter\nb_total{outcome="ok",t="grpc"} 7\n# EOF\n')
    same((metrics.gauge("in_flight"), metrics.gauge("in_flight", t="ws"), metrics.total("b_total", outcome="ok")), (3, 1, 7), "sums")
