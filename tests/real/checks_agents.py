"""Agents written by hand that break the protocol: the client gets an honest answer, nobody else notices, memory stays flat."""

from kit.client import is_cut
from kit.data import KIB, MIB
from kit.marks import limit
from kit.waiting import same, until, within
from kit.wire import LinkClosed, hand_agent, messages


def a_right_agent_by_hand_serves_in_every_way(world):
    """The control: inline bodies, data frames, an upload under credit, trailers."""
    gateway, agent = _joined(world)
    reply = _answer(world, gateway, agent, lambda request: agent.respond(request, 201, b"inline", [("x-a", b"1"), ("x-a", b"\xff")]))
    same((reply.status, reply.body, reply.values("x-a")), (201, b"inline", [b"1", b"\xff"]), "inline")

    def in_pieces(request):
        agent.respond(request, 200, b"one ", end=False)
        agent.send(data=messages().TunnelData(id=request.id, chunk=b"two "))
        agent.send(data=messages().TunnelData(id=request.id, chunk=b"three", end_stream=True))

    same(_answer(world, gateway, agent, in_pieces).body, b"one two three", "in pieces")

    def half_closed(request):
        agent.respond(request, 200, b"x", end=False)
        agent.send(close=messages().TunnelClose(id=request.id))

    same(_answer(world, gateway, agent, half_closed).body, b"x", "ended by a close")
    gateway.nothing_in_flight()
    agent.close()


def an_upload_never_exceeds_the_credit_that_the_agent_granted(world):
    gateway, agent = _joined(world)
    pb = messages()
    granted = 65536  # initial_window of our ConnectRequest
    waiting = world.background(gateway.curl, "/", "--data-binary", "@-", data=b"z" * MIB)
    request = agent.expect("request")
    got, done = len(request.body), request.end_stream
    while not done:
        while got < granted and not done:
            data = agent.expect("data")
            within(len(data.chunk), 1, 32 * KIB, "bytes in a chunk")
            got, done = got + len(data.chunk), data.end_stream
            assert got <= granted, f"{got} bytes came for {granted} granted"
        if not done:
            _stays_silent(agent, 0.1)
            agent.send(window=pb.TunnelWindow(id=request.id, credit=50_000))
            granted += 50_000
    same(got, MIB, "bytes")
    agent.respond(request, 200, b"ok")
    same(waiting.result(5).body, b"ok", "the answer")
    agent.close()


def heads_that_are_not_http_are_a_502_for_one_client_only(world):
    gateway, agent = _joined(world)
    heads = {
        "a line break in a value": dict(headers=[("x-bad", b"a\r\nset-cookie: evil=1")]), "a NUL in a value": dict(headers=[("x-bad", b"a\0b")]),
        "a space in a name": dict(headers=[("x bad", b"1")]), "a line break in a name": dict(headers=[("x\r\nbad", b"1")]),
        "a pseudo header": dict(headers=[(":status", b"200")]), "status 0": dict(status=0), "status 99": dict(status=99),
        "status 1000": dict(status=1000), "status 65736": dict(status=65736), "status 101 unasked": dict(status=101),
        "a huge head": dict(headers=[("x-big", b"a" * 30000)] * 3), "150 fields": dict(headers=[(f"x-{i}", b"1") for i in range(150)]),
        "two lengths": dict(headers=[("content-length", b"1"), ("content-length", b"2")]),
    }
    wrong = []
    for name, head in heads.items():
        reply = _answer(world, gateway, agent, lambda request: agent.respond(request, head.get("status", 200), b"x", head.get("headers", ())))
        if (reply.exit, reply.status) != (0, 502) or reply.values("set-cookie"):
            wrong.append(f"{name}: {reply.status}, curl exit {reply.exit}")
    same(wrong, [], "wrong answers")
    same(_answer(world, gateway, agent, lambda request: agent.respond(request, 200, b"fine")).body, b"fine", "the same link afterwards")
    gateway.nothing_in_flight()
    agent.close()


def a_body_that_belies_its_length_never_ends_cleanly(world):
    gateway, agent = _joined(world)
    for name, body, end in (("too short", b"12345", True), ("too long", b"1234567890abc", True)):
        reply = _answer(world, gateway, agent, lambda request: agent.respond(request, 200, body, end=end, content_length=10))
        assert reply.exit != 0 or reply.status == 502, f"{name}: curl took it for a whole answer: {reply.status} {reply.body!r}"
        assert b"abc" not in reply.body, "bytes beyond the length reached the client"
    agent.close()


def bodies_where_http_has_none_are_discarded(world):
    gateway, agent = _joined(world)
    for name, method, code in (("204", "GET", 204), ("304", "GET", 304), ("HEAD", "HEAD", 200)):
        with gateway.connection() as connection:
            for _ in range(2):
                connection.request(method, "/", gateway.host())
                agent.respond(agent.expect("request"), code, b"smuggled HTTP/1.1 200 OK\r\n\r\n")
                same(connection.response(method).status, code, f"{name} with a body")
    agent.close()


def frames_for_unknown_and_finished_requests_are_ignored(world):
    gateway, agent = _joined(world)
    pb = messages()
    ghost = "00000000-0000-4000-8000-000000000000"

    def ghosts(identity):
        agent.send(data=pb.TunnelData(id=identity, chunk=b"x" * 1000))
        agent.send(window=pb.TunnelWindow(id=identity, credit=1000))
        agent.send(response=pb.TunnelResponse(id=identity, status=200, end_stream=True))
        agent.send(close=pb.TunnelClose(id=identity))

    ghosts(ghost)
    seen = []

    def answer(request):
        agent.respond(request, 200, b"fine")
        seen.append(request.id)

    same(_answer(world, gateway, agent, answer).body, b"fine", "after frames of an unknown id")
    ghosts(seen[0])
    same(_answer(world, gateway, agent, answer).body, b"fine", "after frames of a finished id")
    agent.close()


def one_agent_cannot_answer_for_another(world):
    gateway = world.gateway(agents=("honest", "thief"))
    honest, thief = hand_agent(gateway), hand_agent(gateway)
    for agent, agent_id in ((honest, "honest"), (thief, "thief")):
        assert agent.connect(gateway.credentials[agent_id], agent_id).WhichOneof("frame") == "accepted"
    waiting = world.background(gateway.curl, "/", agent_id="honest")
    request = honest.expect("request")
    thief.respond(request, 200, b"stolen")
    _stays_silent(thief, 0.2)
    honest.respond(request, 200, b"honest")
    same(waiting.result(5).body, b"honest", "the answer")
    for agent in (honest, thief):
        agent.close()


def more_bytes_than_credit_reset_that_request_only(world):
    gateway, agent = _joined(world)
    pb = messages()
    # This client does not read, so credit is not renewed; the other one is served meanwhile.
    with gateway.connection(receive_buffer=4 * KIB) as connection:
        connection.request("GET", "/flood", gateway.host())
        request = agent.expect("request")
        before = gateway.process.rss()
        agent.respond(request, 200, b"", end=False)
        for _ in range(64 * MIB // (32 * KIB)):
            agent.send(data=pb.TunnelData(id=request.id, chunk=b"f" * (32 * KIB)))
        close = agent.expect("close", 10)
        same((close.id, pb.TunnelClose.Reason.Name(close.reason)), (request.id, "REASON_FLOW_CONTROL"), "the gateway's close")
        assert is_cut(connection.body(*connection.head())), "the flooded client got a clean end"
    same(_answer(world, gateway, agent, lambda other: agent.respond(other, 200, b"fine")).body, b"fine", "another request")
    within((gateway.process.rss() - before) / MIB, -64, 24, "growth of the gateway in MiB")
    gateway.nothing_in_flight()
    agent.close()


def refusals_and_failures_of_an_agent_become_the_right_status(world):
    gateway, agent = _joined(world)
    pb = messages()
    reasons = {"REASON_UPSTREAM_CONNECT": (502, "upstream_refused"), "REASON_UPSTREAM_RESET": (502, None), "REASON_TIMEOUT": (504, "response_timeout"),
               "REASON_INTERNAL": (502, None), "REASON_PROTOCOL": (502, None)}
    for reason, (code, error) in reasons.items():
        def close(request):
            agent.send(close=pb.TunnelClose(id=request.id, reason=pb.TunnelClose.Reason.Value(reason), message="the reason <b>"))

        reply = _answer(world, gateway, agent, close, "--request", "POST")
        same(reply.status, code, reason)
        if error:
            same(reply.header("indranet-error"), error, reason)
        assert b"<b>" not in reply.body, f"{reason}: the agent's own words reach the client"
    gateway.nothing_in_flight()
    agent.close()


def an_agent_that_vanishes_cuts_its_responses_and_frees_its_name(world):
    gateway, agent = _joined(world)
    with gateway.connection() as connection:
        connection.request("GET", "/", gateway.host())
        request = agent.expect("request")
        agent.respond(request, 200, b"beginning", end=False)
        code, headers = connection.head()
        body = connection.body(code, headers)
        same(next(body), b"beginning", "the beginning")
        agent.close()
        assert is_cut(body), "the body ended cleanly"
    until(lambda: gateway.sessions() == 0, "the session is gone")
    same(gateway.status_of("/"), 404, "a new request")
    again = hand_agent(gateway)
    same(again.connect(gateway.credentials["myapp"], "myapp").WhichOneof("frame"), "accepted", "a new link")
    again.close()


def a_second_connect_and_an_endless_frame_end_the_link(world):
    pb = messages()
    gateway, agent = _joined(world)
    agent.send(connect=pb.ConnectRequest(agent_id="myapp"))
    code = agent.end_of_link()
    assert code not in ("OK", 1000), f"a second ConnectRequest: {code}"
    agent.close()
    gateway, agent = _joined(world)
    agent.send(data=pb.TunnelData(id="x", chunk=b"x" * (8 * MIB)))
    code = agent.end_of_link()
    assert code not in ("OK", 1000), f"a frame of 8 MiB: {code}"
    agent.close()


def garbage_on_the_link_ends_it(world):
    gateway, agent = _joined(world)
    agent.link.send(b"\xff" * 100)
    code = agent.end_of_link()
    assert code not in ("OK", 1000), f"garbage: {code}"
    until(lambda: gateway.sessions() == 0, "the session is gone")
    agent.close()


@limit(60)
def a_flood_of_tiny_and_empty_frames_leaves_the_gateway_flat(world):
    gateway, agent = _joined(world)
    pb = messages()
    waiting = world.background(gateway.curl, "/")
    request = agent.expect("request")
    before = gateway.process.rss()
    agent.respond(request, 200, b"", end=False)
    try:
        for _ in range(20_000):
            agent.send(data=pb.TunnelData(id=request.id, chunk=b"."))
        for _ in range(20_000):
            agent.send(data=pb.TunnelData(id=request.id))
            agent.send(control=pb.ControlMessage(type=pb.ControlMessage.PONG, payload=b"12345678"))
        agent.send(data=pb.TunnelData(id=request.id, end_stream=True))
        reply = waiting.result(30)
        world.note(f"curl exit {reply.exit}, {len(reply.body)} bytes")
    except LinkClosed as closed:
        world.note(f"the link was closed: {closed.code}")
    within((gateway.process.rss() - before) / MIB, -64, 24, "growth of the gateway in MiB")
    agent.close()
    until(lambda: gateway.status_of("/") == 404, "the gateway lives")


def a_client_that_leaves_is_told_to_the_agent(world):
    gateway, agent = _joined(world)
    pb = messages()
    connection = gateway.connection()
    connection.request("GET", "/", gateway.host())
    request = agent.expect("request")
    connection.close()
    close = agent.expect("close")
    same((close.id, pb.TunnelClose.Reason.Name(close.reason)), (request.id, "REASON_CANCELLED"), "the close")
    gateway.nothing_in_flight()
    agent.close()


def a_silent_agent_gets_a_close_and_the_client_a_504(world):
    gateway, agent = _joined(world, "--response-timeout", "1s")
    pb = messages()
    waiting = world.background(gateway.curl, "/")
    request = agent.expect("request")
    close = agent.expect("close")
    same((close.id, pb.TunnelClose.Reason.Name(close.reason)), (request.id, "REASON_TIMEOUT"), "the close")
    same(waiting.result(5).status, 504, "the answer")
    agent.close()


def a_request_tells_the_agent_how_long_it_may_take(world):
    gateway, agent = _joined(world, "--response-timeout", "7s")
    world.background(gateway.curl, "/")
    within(agent.expect("request").timeout_ms, 1, 7000, "timeout_ms of the request")
    agent.close()


def a_draining_agent_gets_no_more_requests(world):
    gateway, agent = _joined(world)
    pb = messages()
    waiting = world.background(gateway.curl, "/old")
    old = agent.expect("request")
    agent.send(drain=pb.Drain(reason=pb.Drain.REASON_SHUTDOWN, deadline_ms=5000))
    until(lambda: gateway.status_of("/new") in (404, 502, 503), "new requests are not sent here", 10)
    agent.respond(old, 200, b"finished")
    same(waiting.result(5).body, b"finished", "the request in progress")
    agent.close()


def _joined(world, *flags):
    """A gateway and a hand-written agent that it has accepted."""
    gateway = world.gateway(*flags)
    agent = hand_agent(gateway)
    frame = agent.connect(gateway.credentials["myapp"], "myapp")
    same(frame.WhichOneof("frame"), "accepted", "the first frame")
    return gateway, agent


def _answer(world, gateway, agent, answer, *arguments):
    """curl asks, the agent by hand answers; what curl got."""
    waiting = world.background(gateway.curl, "/", *arguments)
    answer(agent.expect("request"))
    return waiting.result(15)


def _stays_silent(agent, seconds):
    """Fails if any frame but windows and pings comes within a while."""
    try:
        frame = agent.expect("data", seconds)
    except AssertionError as error:
        if "no frame" in str(error):
            return
        raise
    raise AssertionError(f"a frame came that should not: {str(frame)[:100]}")
