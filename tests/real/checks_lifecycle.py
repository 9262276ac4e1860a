"""Links that break, processes that die, and shutdowns that lose nothing."""

import collections
import re
import signal
import socket
import threading
import time

from kit.client import Truncated, is_cut
from kit.marks import limit, once
from kit.waiting import percentile, same, seconds_until, until, within

FAST_HEARTBEAT = ("--heartbeat-interval", "1s", "--heartbeat-timeout", "1s")


@limit(90)
def a_gateway_that_was_killed_and_restarted_serves_within_2_seconds(world):
    took = []
    for _ in range(8 if world.slow else 4):
        tunnel = world.tunnel()
        took.append(_kill_and_restart(tunnel))
        same(tunnel.agent.running(), True, "the agent ran through it")
    world.note("requests succeed after " + ", ".join(f"{seconds:.2f}" for seconds in took) + " s")
    within(percentile(took, 0.5), 0, 2, "seconds that half of the rounds took")
    within(max(took), 0, 4, "seconds of the slowest round")


@limit(120)
def a_gateway_that_is_killed_again_and_again_is_found_again(world):
    """The pauses between attempts may grow here, up to the limit of 30 s: a link must last before the agent trusts it again."""
    tunnel = world.tunnel()
    took = [_kill_and_restart(tunnel) for _ in range(4)]
    world.note("requests succeed after " + ", ".join(f"{seconds:.2f}" for seconds in took) + " s")


@limit(60)
def an_agent_finds_a_gateway_that_was_away_for_a_while(world):
    tunnel = world.tunnel()
    tunnel.gateway.process.kill()
    time.sleep(5)  # an outage of a length, not a wait for something
    begin = time.monotonic()
    tunnel.gateway.start(wait=False)
    until(lambda: tunnel.gateway.status_of("/") == 200, "requests succeed again", 32)
    world.note(f"requests succeed {time.monotonic() - begin:.2f} s after the end of an outage of 5 s")


def clients_of_a_killed_gateway_are_cut_and_the_upstream_is_freed(world):
    noticed = []

    def hold(exchange):
        noticed.append(exchange.closed_by_peer(10))

    tunnel = world.tunnel(routes={"/hold": hold})
    waiting = world.background(tunnel.curl, "/hold")
    until(lambda: tunnel.upstream.last("/hold"), "the request arrives")
    tunnel.gateway.process.kill()
    assert waiting.result(5).exit in (52, 56), "the client was not cut"
    until(lambda: noticed, "the agent closes the upstream connection", 3)
    assert noticed[0] is not None


@limit(60)
def a_frozen_agent_is_noticed_by_the_gateway(world):
    """Silence for 2.5 intervals: with an interval of 1 s the session is gone after 2.5 s."""
    def silent(exchange):
        exchange.closed_by_peer(20)

    tunnel = world.tunnel(*FAST_HEARTBEAT, routes={"/silent": silent})
    waiting = world.background(tunnel.curl, "/silent", "--request", "POST")
    until(lambda: tunnel.upstream.last("/silent"), "the request arrives")
    tunnel.agent.freeze()
    took = seconds_until(lambda: tunnel.gateway.sessions() == 0, "the gateway notices", 8)
    world.note(f"gateway noticed after {took:.2f} s")
    assert took <= 6, f"the gateway noticed after {took:.2f} s"
    reply = waiting.result(5)
    same((reply.status, reply.header("indranet-error")), (502, "tunnel_lost"), "the request in progress")
    same(tunnel.curl("/").status, 404, "a new request")
    tunnel.agent.thaw()
    until(lambda: tunnel.gateway.status_of("/") == 200, "the thawed agent serves again", 8)


@limit(60)
def a_frozen_gateway_is_noticed_by_the_agent(world):
    """A PING after 1 s of silence, given up 1 s later: the connection is gone after about 2 s."""
    noticed = []

    def hold(exchange):
        exchange.start(200, chunked=True, first=b"x")
        noticed.append(exchange.closed_by_peer(20))

    tunnel = world.tunnel(*FAST_HEARTBEAT, routes={"/hold": hold})
    connection = tunnel.connection()
    connection.request("GET", "/hold", tunnel.host())
    until(lambda: tunnel.upstream.last("/hold"), "the request arrives")
    link = until(lambda: tunnel.agent.connections_to(tunnel.gateway.link_port), "the agent has a link")
    tunnel.gateway.process.freeze()
    took = seconds_until(lambda: not link & tunnel.agent.connections_to(tunnel.gateway.link_port), "the agent gives the link up", 8)
    world.note(f"agent noticed after {took:.2f} s")
    assert took <= 5.5, f"the agent noticed after {took:.2f} s"
    until(lambda: noticed, "the upstream connection of the lost exchange is closed", 4)
    assert noticed[0] is not None
    connection.close()
    tunnel.gateway.process.thaw()
    until(lambda: tunnel.gateway.status_of("/") == 200, "requests succeed again", 12)


@limit(60)
def an_idle_link_stays_up_by_its_heartbeat(world):
    tunnel = world.tunnel("--heartbeat-interval", "1s", "--heartbeat-timeout", "3s")  # a stall of this machine is no silence
    link = tunnel.agent.connections_to(tunnel.gateway.link_port)
    time.sleep(6)  # the passing of time is what is tested
    same(tunnel.agent.connections_to(tunnel.gateway.link_port), link, "the link is the same")
    same(tunnel.curl("/").status, 200, "a request after it")


def an_agent_may_start_before_the_gateway(world):
    upstream = world.upstream()
    gateway = world.gateway()
    gateway.process.kill()
    agent = gateway.start_agent(upstream.port)
    until(lambda: agent.log().strip() or not agent.running(), "the agent says that it cannot reach the gateway")
    same(agent.stdout(), "", "standard output before it is online")
    gateway.start()
    took = seconds_until(lambda: gateway.status_of("/") == 200, "requests succeed", 12)
    world.note(f"served {took:.2f} s after the gateway was ready")
    same(agent.running(), True, "the agent runs")


@limit(60)
def an_agent_survives_a_port_that_accepts_and_hangs_up(world):
    """What a load balancer without a backend does."""
    upstream = world.upstream()
    gateway = world.gateway()
    gateway.process.kill()
    calls = []
    stub = socket.create_server(("127.0.0.1", gateway.link_port), backlog=16)

    def hang_up():
        while True:
            try:
                connection, _ = stub.accept()
            except OSError:
                return
            calls.append(connection.close())

    threading.Thread(target=hang_up, daemon=True).start()
    agent = gateway.start_agent(upstream.port)
    until(lambda: len(calls) >= 3 or not agent.running(), "the agent tries again and again", 15)
    same(agent.running(), True, "the agent runs")
    stub.shutdown(socket.SHUT_RDWR)
    stub.close()
    gateway.start()
    until(lambda: gateway.status_of("/") == 200, "requests succeed", 20)


@limit(60)
def a_gateway_port_that_accepts_and_says_nothing_does_not_hold_the_agent_for_ever(world):
    upstream = world.upstream()
    gateway = world.gateway()
    gateway.process.kill()
    stub = socket.create_server(("127.0.0.1", gateway.link_port), backlog=16)
    agent = gateway.start_agent(upstream.port)
    first, _ = stub.accept()
    first.settimeout(15)
    begin = time.monotonic()
    try:
        while first.recv(65536):
            pass
    except ConnectionResetError:
        pass
    world.note(f"gave up after {time.monotonic() - begin:.1f} s")
    first.close()
    stub.close()
    same(agent.running(), True, "the agent runs")
    gateway.start()
    until(lambda: gateway.status_of("/") == 200, "requests succeed", 20)


@limit(60)
def sigterm_lets_requests_of_the_gateway_finish_and_exits_0(world):
    _drain(world, lambda tunnel: tunnel.gateway.process, _gateway_drains)


@limit(60)
def sigterm_lets_requests_of_the_agent_finish_and_exits_0(world):
    _drain(world, lambda tunnel: tunnel.agent, lambda tunnel: tunnel.gateway.status_of("/") in (404, 502, 503))


@limit(60)
def a_second_sigterm_ends_the_gateway_at_once(world):
    _twice(world, lambda tunnel: tunnel.gateway.process, _gateway_drains)


@limit(60)
def a_second_sigterm_ends_the_agent_at_once(world):
    _twice(world, lambda tunnel: tunnel.agent, lambda tunnel: tunnel.gateway.status_of("/") in (404, 502, 503))


def a_gateway_that_drains_breaks_no_request_that_it_has_taken(world):
    """Eight clients ask on, each time on a new connection, while the gateway is told to end."""
    tunnel = world.tunnel()
    seen, stop = collections.Counter(), threading.Event()

    def ask():
        try:
            connection = tunnel.connection(timeout=5)
        except OSError:
            return "refused"
        with connection:
            try:
                connection.request("GET", "/bytes/50000", tunnel.host(), [("connection", "close")])
                code, headers = connection.head()
            except (OSError, Truncated):
                return "not taken"  # it stood in the queue of the port that was closed
            return "cut" if is_cut(connection.body(code, headers)) else code

    def keep_asking():
        while not stop.is_set():
            seen[ask()] += 1

    clients = [world.background(keep_asking) for _ in range(8)]
    until(lambda: seen[200] > 200, "requests succeed", 10)
    tunnel.gateway.process.terminate()
    same(tunnel.gateway.process.exit_code(10), 0, "exit")
    stop.set()
    for client in clients:
        client.result(6)
    world.note(", ".join(f"{kind}: {count}" for kind, count in seen.most_common()))
    same(set(seen) - {200, 503, "refused", "not taken"}, set(), "answers that no client should get")


def sigterm_and_sigint_without_requests_end_both_with_0_at_once(world):
    for number in (signal.SIGTERM, signal.SIGINT):
        tunnel = world.tunnel()
        for process in (tunnel.agent, tunnel.gateway.process):
            begin = time.monotonic()
            process.signal(number)
            same(process.exit_code(5), 0, f"{process.name} after {number.name}")
            within(time.monotonic() - begin, 0, 4, f"seconds until {process.name} ended")


def an_agent_outlives_the_gateways_orderly_shutdown_and_comes_back(world):
    tunnel = world.tunnel()
    tunnel.gateway.process.terminate()
    same(tunnel.gateway.process.exit_code(5), 0, "exit of the gateway")
    took = _kill_and_restart(tunnel)
    world.note(f"requests succeed {took:.2f} s after the restart")
    assert took <= 10, f"it took {took:.1f} s"


@limit(60)
def the_grace_period_ends_what_does_not_end_by_itself(world):
    def endless(exchange):
        exchange.start(200, chunked=True, first=b"x")
        exchange.closed_by_peer(30)

    tunnel = world.tunnel("--grace-period", "2s", routes={"/endless": endless})
    with tunnel.connection(timeout=10) as connection:
        connection.request("GET", "/endless", tunnel.host())
        code, headers = connection.head()
        begin = time.monotonic()
        tunnel.gateway.process.terminate()
        assert is_cut(connection.body(code, headers)), "the body ended cleanly"
        within(time.monotonic() - begin, 1.8, 4, "seconds until the exchange was cut")
        world.note(f"gateway exit {tunnel.gateway.process.exit_code(3)}")


def requests_never_meet_a_gap_when_a_second_agent_process_replaces_the_first(world):
    """A rolling restart: the new process is online before the old one is told to end."""
    tunnel = world.tunnel()
    stop, statuses = threading.Event(), []

    def keep_asking():
        while not stop.is_set():
            statuses.append(tunnel.gateway.status_of("/"))

    clients = [world.background(keep_asking) for _ in range(8)]
    second = tunnel.gateway.start_agent(tunnel.upstream.port)
    until(lambda: second.stdout() or not second.running(), "the second agent is online or refused", 5)
    if not second.running():
        world.note(f"a second process is refused by policy, exit {second.child.returncode}")
    else:
        tunnel.agent.terminate()
        world.note(f"the first agent ended with {tunnel.agent.exit_code(5)}")
    count = len(statuses)
    until(lambda: len(statuses) > count + 50, "more requests")
    stop.set()
    for client in clients:
        client.result(5)
    same(collections.Counter(status for status in statuses if status != 200), {}, f"statuses other than 200 among {len(statuses)}")


@once
def only_the_public_url_is_on_standard_output(world):
    tunnel = world.tunnel()
    for _ in range(3):
        same(tunnel.curl("/").status, 200, "a request")
    tunnel.gateway.process.kill()
    tunnel.gateway.start()
    until(lambda: tunnel.gateway.status_of("/") == 200, "requests succeed again", 10)
    tunnel.agent.terminate()
    same(tunnel.agent.exit_code(5), 0, "exit of the agent")
    url = f"http://{tunnel.host()}"
    lines = {line.rstrip("/") for line in tunnel.agent.stdout().splitlines()}
    same(lines, {url}, "lines on standard output")
    assert "\x1b" not in tunnel.agent.log() and "\x1b" not in tunnel.gateway.process.log(), "colour in a log that is no terminal"
    assert tunnel.agent.log().strip(), "an agent logs on standard error"


@once
def on_a_terminal_the_agent_shows_its_url_and_every_request(world):
    def refuse(exchange):
        exchange.respond(418, b"short and stout")

    upstream = world.upstream(routes={"/tea": refuse})
    gateway = world.gateway()
    agent = gateway.agent(upstream.port, terminal=True, env={"TERM": "xterm-256color"})
    until(lambda: gateway.public_url("").rstrip("/") in agent.stdout(), "the public URL is shown")
    same(gateway.curl("/tea?secret=query").status, 418, "a request")
    shown = until(lambda: [line for line in agent.stdout().splitlines() if "/tea" in line and "418" in line and "GET" in line], "the request is shown")
    assert not any("secret=query" in line for line in shown), f"the query is shown: {shown}"
    upstream.stop()
    gateway.curl("/down")
    until(lambda: any("/down" in line and "502" in line for line in agent.stdout().splitlines()), "the failed request is shown")
    assert "refused" in agent.stdout() and str(upstream.port) in agent.stdout(), "what is wrong with the local service is not said"
    gateway.process.kill()
    gateway.start()
    until(lambda: gateway.online(), "the agent is back")
    agent.terminate()
    same(agent.exit_code(5), 0, "exit")
    plain = gateway.agent(upstream.port, terminal=True, env={"TERM": "xterm-256color", "NO_COLOR": "1"})
    until(lambda: "http://myapp." in plain.stdout(), "the public URL is shown")
    same(re.findall(r"\x1b\[[0-9;]*[1-9][0-9;]*m", plain.stdout()), [], "colours in spite of NO_COLOR")


@limit(120)
def a_storm_of_restarts_leaves_nothing_behind(world):
    tunnel = world.tunnel()
    took = []
    for turn in range(10):
        process = tunnel.agent
        process.kill() if turn % 2 else process.terminate()
        process.exit_code(5)
        begin = time.monotonic()
        tunnel.agent = tunnel.gateway.agent(tunnel.upstream.port)
        until(lambda: tunnel.gateway.status_of("/") == 200, "requests succeed again")
        took.append(time.monotonic() - begin)
    until(lambda: tunnel.gateway.sessions() == 1, "one session is left", 3)
    tunnel.gateway.nothing_in_flight()
    world.note(f"a new agent process serves after {percentile(took, .5) * 1e3:.0f} ms")


def _kill_and_restart(tunnel):
    """Seconds from the gateway's new start to the first request that succeeds."""
    tunnel.gateway.process.kill()
    begin = time.monotonic()
    tunnel.gateway.start(wait=False)
    until(lambda: tunnel.gateway.status_of("/") == 200, "requests succeed again", 31)
    return time.monotonic() - begin


def _gateway_drains(tunnel):
    """From outside: it says that it is not ready, or does not answer any more."""
    try:
        return tunnel.gateway.admin_get("/readyz").status != 200
    except OSError:
        return True


def _drain(world, which, draining):
    """Six requests in flight, three before their head and three within the body; SIGTERM; then the upstream goes on."""
    go_on = threading.Event()

    def before_the_head(exchange):
        go_on.wait(20)
        exchange.respond(200, b"whole answer")

    def within_the_body(exchange):
        exchange.start(200, chunked=True, first=b"whole ")
        go_on.wait(20)
        exchange.write(b"answer")
        exchange.finish()

    tunnel = world.tunnel("--response-timeout", "20s", routes={"/head": before_the_head, "/body": within_the_body})
    waiting = [world.background(tunnel.curl, path) for path in ("/head", "/body") * 3]
    until(lambda: tunnel.upstream.count("/head") == tunnel.upstream.count("/body") == 3, "the requests arrive")
    process = which(tunnel)
    process.terminate()
    until(lambda: draining(tunnel), "it drains")
    same(process.running(), True, "it waits for its requests")
    go_on.set()
    begin = time.monotonic()
    for reply in [future.result(10) for future in waiting]:
        same((reply.exit, reply.status, reply.body), (0, 200, b"whole answer"), f"a request in flight ({reply.error})")
    same(process.exit_code(5), 0, "exit code")
    world.note(f"exit {time.monotonic() - begin:.2f} s after the last request could end")


def _twice(world, which, draining):
    def hold(exchange):
        exchange.closed_by_peer(30)

    tunnel = world.tunnel("--response-timeout", "30s", routes={"/hold": hold})
    waiting = world.background(tunnel.curl, "/hold", limit=20)
    until(lambda: tunnel.upstream.last("/hold"), "the request arrives")
    process = which(tunnel)
    process.terminate()
    until(lambda: draining(tunnel), "it drains")
    same(process.running(), True, "it waits for its requests")
    begin = time.monotonic()
    process.terminate()
    code = process.exit_code(5)
    took = time.monotonic() - begin
    assert took < 3, f"it took {took:.1f} s"
    world.note(f"exit {code} after {took * 1e3:.0f} ms")
    reply = waiting.result(10)
    assert reply.exit != 0 or reply.status >= 500, f"the cut request got {reply.status}"
