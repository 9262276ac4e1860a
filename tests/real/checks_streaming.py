"""Bodies as they flow: events at once, a slow peer that harms nobody, and every way of breaking off."""

import subprocess
import threading
import time

from kit.client import curl_command, is_cut
from kit.data import KIB, MIB, blocks, data, sha256, sha256_of
from kit.load import load
from kit.marks import limit, slow_only
from kit.upstream import Gone
from kit.waiting import percentile, promised, same, seconds_until, until

SLOW_RATE = 50 * KIB
EVENT_DELAY = 0.050


@limit(60, slow=270)
def each_server_sent_event_arrives_within_50_ms(world):
    """A control client asks the upstream directly, often enough to see every stall: an event that is late while its own are says
    something about this machine only. Noise that it has not seen only makes a round worse: one good round of three is enough."""
    pause, count = (0.5, 150) if world.slow else (0.02, 200)

    def every(pause, count):
        def events(exchange):
            exchange.start(200, [("content-type", "text/event-stream"), ("cache-control", "no-store")], chunked=True)
            for number in range(count):
                exchange.write(f"id: {number}\ndata: {time.monotonic()!r}\n\n".encode())
                time.sleep(pause)
            exchange.finish()
        return events

    dense = round(count * pause / 0.02)
    tunnel = world.tunnel(routes={"/events": every(pause, count), "/control": every(0.02, dense)})

    def in_time():
        running = world.background(_event_delays, f"http://127.0.0.1:{tunnel.upstream.port}/control")
        events = _event_delays(tunnel.gateway.public_url("/events"))
        control = running.result(60)
        same((len(events), len(control)), (count, dense), "events")
        stalls = [written for written, delay in control if delay >= EVENT_DELAY / 2]
        judged = sorted(delay for written, delay in events if not any(abs(written - stall) <= 0.1 for stall in stalls))
        delays, direct = ([delay for _, delay in some] for some in (events, control))
        world.note(f"{count} events over {count * pause:.0f} s: p50 {percentile(delays, .5) * 1e3:.2f} ms, p99 {percentile(delays, .99) * 1e3:.2f} ms, "
                   f"max {max(delays) * 1e3:.2f} ms (direct p50 {percentile(direct, .5) * 1e3:.2f}, max {max(direct) * 1e3:.2f})")
        if len(judged) < count / 2:
            return False  # the machine stalled too often to tell
        assert judged[-1] <= 2, f"an event was {judged[-1]:.1f} s late though the machine was not"
        late = [round(delay * 1e3) for delay in judged if delay > EVENT_DELAY]
        if late:
            world.note(f"{len(late)} of {len(judged)} late though the machine was not, the latest {late[-5:]} ms")
        return percentile(judged, 0.95) <= EVENT_DELAY

    assert any(in_time() for _ in range(3)), "events are late"


def a_single_byte_is_not_held_back(world):
    """The upstream waits for the client to have each byte before it sends the next."""
    got = threading.Semaphore(0)

    def drip(exchange):
        exchange.start(200, chunked=True)
        for _ in range(20):
            exchange.write(b".")
            if not got.acquire(timeout=3):
                return exchange.hang_up()
        exchange.finish()

    tunnel = world.tunnel(routes={"/drip": drip})
    with tunnel.connection(timeout=5) as connection:
        connection.request("GET", "/drip", tunnel.host())
        code, headers = connection.head()
        body = b""
        for piece in connection.body(code, headers):
            body += piece
            got.release()
        same(body, b"." * 20, "the body")


def the_head_is_not_held_back_for_a_body(world):
    arrived = threading.Event()

    def head_first(exchange):
        exchange.start(200, length=4)
        exchange.write(b"body" if arrived.wait(5) else b"late")

    tunnel = world.tunnel(routes={"/head-first": head_first})
    with tunnel.connection(timeout=6) as connection:
        connection.request("GET", "/head-first", tunnel.host())
        code, headers = connection.head()
        arrived.set()
        same(b"".join(connection.body(code, headers)), b"body", "the body")


def a_100_mib_download_starts_before_the_upstream_has_finished(world):
    """The upstream produces the second half only once the client has the first byte."""
    size, first_byte, produced = 100 * MIB, threading.Event(), []

    def produce(exchange):
        exchange.start(200, length=size)
        for number, piece in enumerate(blocks(size)):
            if number == size // (64 * KIB) // 2 and not first_byte.wait(10):
                return exchange.hang_up()
            exchange.write(piece)
        produced.append(time.monotonic())

    tunnel = world.tunnel(routes={"/produce": produce})
    sink = subprocess.Popen(curl_command(tunnel.gateway.public_url("/produce")), stdout=subprocess.PIPE)
    begin = sink.stdout.read(1)
    started = time.monotonic()
    assert not produced, "the first byte came after the last was produced"
    first_byte.set()

    def pieces():
        yield begin
        yield from iter(lambda: sink.stdout.read(MIB), b"")

    same(sha256(pieces()), sha256_of(size), "what the client got")
    same(sink.wait(10), 0, "curl's exit")
    until(lambda: produced, "the upstream finished")
    world.note(f"first byte {(produced[0] - started) * 1e3:.0f} ms before the last was produced")


def an_upload_reaches_the_upstream_before_the_client_has_finished(world):
    """The client sends the second half only once the upstream has the first."""
    half, arrived = 100_000, threading.Event()

    def take(exchange):
        got = b""
        for piece in exchange.body():
            got += piece
            if len(got) >= half:
                arrived.set()
        exchange.respond(200, got)

    tunnel = world.tunnel(routes={"/take": take})
    with tunnel.connection() as connection:
        connection.request("POST", "/take", tunnel.host(), [("content-length", str(2 * half))])
        connection.send(data(half))
        assert arrived.wait(5), "the first half did not arrive before the second was sent"
        connection.send(data(half))
        same(connection.response().body, data(half) * 2, "the echo")


@limit(90, slow=180)
def small_requests_do_not_feel_a_client_that_reads_at_50_kib_per_second(world):
    def slowly(tunnel, stop):
        with tunnel.connection(receive_buffer=16 * KIB, timeout=30) as connection:
            connection.request("GET", f"/bytes/{400 * MIB}", tunnel.host())
            code, headers = connection.head()
            got, begin = 0, time.monotonic()
            for piece in connection.body(code, headers):
                got += len(piece)
                if stop.wait(max(0.0, got / SLOW_RATE - (time.monotonic() - begin))):
                    break
            return got / (time.monotonic() - begin) / KIB

    _compare_with_and_without(world, slowly, "slow reader at {:.0f} KiB/s")


@limit(90, slow=180)
def small_requests_do_not_feel_an_upload_that_the_upstream_does_not_read(world):
    def stall(tunnel, stop):
        with tunnel.connection(timeout=1) as connection:
            connection.request("POST", "/stall", tunnel.host(), [("content-length", str(400 * MIB))])
            sent = 0
            try:
                for piece in blocks(400 * MIB):
                    connection.send(piece)
                    sent += len(piece)
            except TimeoutError:
                pass  # the tunnel holds the client back, as it should
            stop.wait(60)
            return sent / MIB

    _compare_with_and_without(world, stall, "stalled upload, {:.1f} MiB taken from the client")


@limit(90, slow=180)
def small_requests_do_not_feel_an_upload_whose_client_stalls(world):
    def stall(tunnel, stop):
        with tunnel.connection() as connection:
            connection.request("POST", "/measure", tunnel.host(), [("content-length", str(400 * MIB))])
            connection.send(data(MIB))
            stop.wait(60)
            return 1

    _compare_with_and_without(world, stall, "client stalled after {} MiB")


def a_slow_reader_gets_every_byte(world):
    tunnel = world.tunnel()
    with tunnel.connection(receive_buffer=8 * KIB) as connection:
        connection.request("GET", f"/bytes/{4 * MIB}", tunnel.host())
        code, headers = connection.head()

        def slowly():
            for number, piece in enumerate(connection.body(code, headers)):
                if number % 64 == 0:
                    time.sleep(0.005)
                yield piece

        same(sha256(slowly()), sha256_of(4 * MIB), "the body")


def many_stalled_readers_cost_little_memory_and_no_request(world):
    tunnel = world.tunnel()
    before = {process: process.rss() for process in tunnel.processes()}
    readers = []
    try:
        for _ in range(32):
            connection = tunnel.connection(receive_buffer=8 * KIB)
            connection.request("GET", f"/bytes/{64 * MIB}", tunnel.host())
            readers.append(connection)
        until(lambda: tunnel.upstream.count(f"/bytes/{64 * MIB}") == 32, "all requests reach the upstream")
        same([tunnel.curl("/").status for _ in range(20)], [200] * 20, "small requests beside them")
        for process in tunnel.processes():
            grown = (process.rss() - before[process]) / MIB
            world.note(f"{process.name} +{grown:.1f} MiB for 32 stalled readers")
            assert process.peak_rss() < 64 * MIB, f"{process.name} has {process.peak_rss() / MIB:.0f} MiB"
    finally:
        for connection in readers:
            connection.close()
    tunnel.gateway.nothing_in_flight()
    until(lambda: tunnel.upstream.open_connections() <= 32, "connections to the upstream settle")


@slow_only
def hundreds_of_stalled_readers_stay_within_the_budget_of_their_session(world):
    """64 KiB for each, 64 MiB on top for all of them together, and half as much again for what surrounds them."""
    count = 256
    tunnel = world.tunnel()
    before = {process: process.rss() for process in tunnel.processes()}
    readers = [tunnel.connection(receive_buffer=8 * KIB) for _ in range(count)]
    for connection in readers:
        connection.request("GET", f"/bytes/{64 * MIB}", tunnel.host())
    until(lambda: tunnel.upstream.count(f"/bytes/{64 * MIB}") == count, "all requests reach the upstream", 20)
    same([tunnel.curl("/").status for _ in range(50)], [200] * 50, "small requests beside them")
    grown = {process.name: (process.peak_rss() - before[process]) / MIB for process in tunnel.processes()}
    for connection in readers:
        connection.close()
    tunnel.gateway.nothing_in_flight(10)
    world.note(", ".join(f"{name} +{size:.0f} MiB" for name, size in grown.items()))
    for name, size in grown.items():
        assert size < 1.5 * (64 + count * 64 / 1024), f"{name} grew by {size:.0f} MiB"


def a_client_that_leaves_closes_the_upstream_connection_within_a_second(world):
    closed = {}

    def remember(name, exchange):
        closed[name] = exchange.closed_by_peer(5)
        exchange.hang_up()

    def before_the_head(exchange):
        remember("before the head", exchange)

    def within_the_body(exchange):
        exchange.start(200, chunked=True, first=b"some")
        remember("within the body", exchange)

    def within_a_flood(exchange):
        exchange.start(200, chunked=True)
        try:
            while True:
                exchange.write(data(64 * KIB))
        except Gone:
            closed["within a flood"] = 0.0

    def within_the_upload(exchange):
        remember("within the upload", exchange)

    routes = {"/head": before_the_head, "/body": within_the_body, "/flood": within_a_flood, "/upload": within_the_upload}
    tunnel = world.tunnel(routes=routes)

    def leaves(path, name):
        before = tunnel.upstream.count(path)
        closed.pop(name, None)
        connection = tunnel.connection()
        if path == "/upload":
            connection.request("POST", path, tunnel.host(), [("content-length", "1000000")])
            connection.send(b"x" * 1000)
        else:
            connection.request("GET", path, tunnel.host())
        until(lambda: tunnel.upstream.count(path) > before, "the request arrives")
        if path in ("/body", "/flood"):
            code, headers = connection.head()
            next(connection.body(code, headers))
        left = time.monotonic()
        connection.close()
        until(lambda: name in closed, f"the upstream is told of a client that left {name}", 6)
        assert closed[name] is not None, f"a client that left {name}: the upstream connection stayed open"
        return time.monotonic() - left

    for path, name in (("/head", "before the head"), ("/body", "within the body"), ("/flood", "within a flood"), ("/upload", "within the upload")):
        took = promised(1, lambda: leaves(path, name), f"the upstream connection of a client that left {name} is closed")
        world.note(f"{name} {took * 1e3:.0f} ms")
    tunnel.gateway.nothing_in_flight()
    same(tunnel.curl("/").status, 200, "the next request")


def a_client_that_leaves_an_upload_that_nobody_reads_is_noticed_within_a_second(world):
    """What it sent fits into the buffers on the way. More than that would keep its farewell in its own kernel, unseen."""
    def stall(exchange):
        exchange.closed_by_peer(20)
        exchange.hang_up()

    tunnel = world.tunnel("--response-timeout", "30s", routes={"/stall": stall})

    def leaves():
        before = tunnel.upstream.count("/stall")
        connection = tunnel.connection(timeout=5)
        connection.request("POST", "/stall", tunnel.host(), [("content-length", str(400 * MIB))])
        for piece in blocks(MIB):
            connection.send(piece)
        until(lambda: tunnel.upstream.count("/stall") > before, "the request arrives")
        left = time.monotonic()
        connection.close()
        tunnel.gateway.nothing_in_flight(5)
        return time.monotonic() - left

    world.note(f"noticed after {promised(1, leaves, 'it is noticed'):.2f} s")


def a_curl_that_is_killed_closes_the_upstream_connection_too(world):
    noticed = []

    def silent(exchange):
        noticed.append(exchange.closed_by_peer(8))

    tunnel = world.tunnel(routes={"/silent": silent})

    def gives_up():
        noticed.clear()
        done = tunnel.curl("/silent", "--max-time", "1")
        same(done.exit, 28, "curl gives up after a second")
        took = seconds_until(lambda: noticed, "the upstream notices", 6)
        assert noticed[0] is not None, "the upstream connection stayed open"
        return took

    promised(1, gives_up, "the upstream connection is closed")
    tunnel.gateway.nothing_in_flight()


def an_upstream_that_dies_within_the_body_is_an_error_for_the_client(world):
    def cut(length, chunked, how):
        def route(exchange):
            exchange.start(200, length=length, chunked=chunked, first=data(100_000))
            getattr(exchange, how)()
        return route

    tunnel = world.tunnel(routes={
        "/length-fin": cut(200_000, False, "hang_up"), "/length-rst": cut(200_000, False, "reset"),
        "/chunked-fin": cut(None, True, "hang_up"), "/chunked-rst": cut(None, True, "reset")})
    for path in ("/length-fin", "/length-rst", "/chunked-fin", "/chunked-rst"):
        reply = tunnel.curl(path, limit=10)
        world.note(f"{path} {_honest(reply.status, reply.exit in (18, 52, 56), reply.header('indranet-error'))}")
        assert reply.status == 502 or data(100_000).startswith(reply.body), f"{path}: other bytes than the upstream sent"
        with tunnel.connection() as connection:
            connection.request("GET", path, tunnel.host())
            code, headers = connection.head()
            _honest(code, is_cut(connection.body(code, headers)), dict(headers).get("indranet-error"))
    tunnel.gateway.nothing_in_flight()
    same(tunnel.curl("/").status, 200, "the next request")


def a_kept_alive_connection_serves_on_after_other_clients_were_cut(world):
    def cut(exchange):
        exchange.start(200, length=10, first=b"x")
        exchange.hang_up()

    tunnel = world.tunnel(routes={"/cut": cut})
    with tunnel.connection() as connection:
        for _ in range(10):
            reply = tunnel.curl("/cut")
            _honest(reply.status, reply.exit in (18, 52, 56), reply.header("indranet-error"))
            connection.request("GET", "/", tunnel.host())
            same(connection.response().status, 200, "a request on the old connection")


def sixty_clients_at_once_are_all_served(world):
    tunnel = world.tunnel()

    def client(number):
        with tunnel.connection() as connection:
            for turn in range(20):
                size = (number * 7919 + turn * 104729) % 200_000
                connection.request("POST", "/echo", tunnel.host(), body=data(size))
                reply = connection.response()
                assert reply.status == 200 and reply.body == data(size), f"client {number}, turn {turn}: {reply.status}, {len(reply.body)} of {size}"

    for future in [world.background(client, number) for number in range(60)]:
        future.result(50)
    tunnel.gateway.nothing_in_flight()


def _honest(status, cut, code):
    """A body that broke off is a cut response, or a 502 if the break was known before the head was passed on."""
    assert cut or (status == 502 and code), f"a cut body ended cleanly with status {status}"
    return "cut" if cut else f"502 {code}"


def _event_delays(url):
    """When each event was written, and the seconds until it was read, by the clock that all processes of a machine share."""
    reader = subprocess.Popen(curl_command(url, "--no-buffer"), stdout=subprocess.PIPE)
    delays = []
    for line in reader.stdout:
        if line.startswith(b"data: "):
            written = float(line[6:])
            delays.append((written, time.monotonic() - written))
    reader.wait(5)
    return delays


def _compare_with_and_without(world, burden, told):
    """Rounds of 8 clients doing small GETs, in turn without and with a burden on the same agent."""
    stop = threading.Event()

    def stall(exchange):
        until(lambda: stop.is_set() or exchange.closed_by_peer(0.05), "the round ends", 120)
        exchange.hang_up()

    tunnel = world.tunnel(routes={"/stall": stall})
    rounds, seconds = (5, 4) if world.slow else (3, 1.5)
    load(tunnel.gateway.http, tunnel.host(), "/", 8, 0.5)  # warm
    results = {False: [], True: []}
    memory = {process: [] for process in tunnel.processes()}
    figures = []
    for _ in range(rounds):
        for burdened in (False, True):
            stop.clear()
            if burdened:
                before = len(tunnel.upstream.seen)
                running = world.background(burden, tunnel, stop)
                until(lambda: len(tunnel.upstream.seen) > before, "the burden reaches the upstream")
            results[burdened].append(load(tunnel.gateway.http, tunnel.host(), "/", 8, seconds))
            for process in tunnel.processes():
                memory[process].append(process.rss() / MIB)
            stop.set()
            if burdened:
                figures.append(running.result(70))
    errors = [error for result in results[False] + results[True] for error in result["errors"]]
    same(errors, [], "errors of the small requests")

    def best(burdened, figure):
        """Noise only makes a round worse."""
        return (max if figure == "per_second" else min)(result[figure] for result in results[burdened])

    ratio = {figure: best(True, figure) / best(False, figure) for figure in ("per_second", "p50_ms", "p99_ms")}
    world.note(told.format(percentile(figures, .5)) + f"; with/without: req/s {best(True, 'per_second'):.0f}/{best(False, 'per_second'):.0f} = "
               f"{ratio['per_second']:.2f}, p50 x{ratio['p50_ms']:.2f}, p99 {best(True, 'p99_ms'):.1f}/{best(False, 'p99_ms'):.1f} ms = x{ratio['p99_ms']:.2f}")
    world.note("; ".join(f"{process.name} {min(sizes):.1f}-{max(sizes):.1f} MiB" for process, sizes in memory.items()))
    assert ratio["per_second"] > 0.6, f"small requests fell to {ratio['per_second']:.2f} of their rate"
    assert ratio["p50_ms"] < 1.6, f"the median of small requests rose to {ratio['p50_ms']:.2f} of what it was"
    for process, sizes in memory.items():
        assert max(sizes) - sizes[1] < 12, f"{process.name} grew from {sizes[1]:.1f} to {max(sizes):.1f} MiB"
        assert process.peak_rss() < 64 * MIB, f"{process.name} had {process.peak_rss() / MIB:.0f} MiB"
    tunnel.gateway.nothing_in_flight()
