"""Who may attach, who is told what, and what no log ever shows."""

import base64
import os
import re
import stat

from kit.marks import limit, once
from kit.waiting import same, seconds_until, until
from kit.wire import LinkClosed, hand_agent, messages, secret_of, signed_connect, token_of
from kit.world import CREDENTIAL

EXIT_REFUSED = 77


@once
def token_new_prints_one_string_and_keeps_the_file_private(world):
    tokens = world.folder / "some.tokens"
    done = world.run(world.tool("gateway-tunnel"), "token", "new", "--agent-id", "myapp", "--tokens", tokens)
    same(done.returncode, 0, f"exit ({done.stderr[-300:]})")
    assert CREDENTIAL.fullmatch(done.stdout.strip()), f"standard output holds more or less than one credential: {done.stdout!r}"
    same(oct(stat.S_IMODE(tokens.stat().st_mode)), "0o600", "mode of the file")
    first = tokens.read_text()
    again = world.run(world.tool("gateway-tunnel"), "token", "new", "--agent-id", "other", "--tokens", tokens)
    assert again.stdout != done.stdout and len(tokens.read_text()) > len(first), "the second token is added to the first"
    assert token_of(done.stdout.strip()) in tokens.read_text(), "the first token is still there"
    same(oct(stat.S_IMODE(tokens.stat().st_mode)), "0o600", "mode of the file after the second")
    refused = world.run(world.tool("gateway-tunnel"), "token", "new", "--agent-id", "Not An Id", "--tokens", tokens)
    assert refused.returncode in (2, 78) and "itk_" not in refused.stdout, f"a bad agent id: exit {refused.returncode}"


def a_wrong_secret_an_unknown_token_and_anothers_id_end_the_agent_with_77(world):
    gateway = world.gateway(agents=("myapp", "other"))
    right = gateway.credentials["myapp"]
    wrong_secret = right[:-43] + base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    unknown = "itk_nobody_" + right[-43:]
    for name, credential in (("wrong secret", wrong_secret), ("unknown token", unknown), ("token of another agent", gateway.credentials["other"])):
        agent = gateway.start_agent(9, "myapp", credential=credential)
        same(agent.exit_code(5), EXIT_REFUSED, f"{name}: exit code ({agent.log()[-300:]})")
        same(agent.stdout(), "", f"{name}: standard output")
        assert credential[-43:] not in agent.log(), f"{name}: the secret is in the log"
        assert len(agent.log().strip()) > 20, f"{name}: no word about the reason"
    same(gateway.sessions(), 0, "sessions")


def each_refusal_names_its_code(world):
    gateway = world.gateway(agents=("myapp", "other"))
    mine, others = gateway.credentials["myapp"], gateway.credentials["other"]
    wrong_secret = mine[:-43] + base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    pb = messages()
    code = pb.ConnectError.Code
    skew = {}
    cases = [
        ("wrong secret", code.CODE_UNAUTHENTICATED, wrong_secret, {}),
        ("unknown token", code.CODE_UNAUTHENTICATED, "itk_nobody_" + mine[-43:], {}),
        ("a timestamp of 10 minutes ago", code.CODE_CLOCK_SKEW, mine, {"age": 600}),
        ("a timestamp in 10 minutes", code.CODE_CLOCK_SKEW, mine, {"age": -600}),
        ("a stale timestamp and a wrong secret", code.CODE_UNAUTHENTICATED, wrong_secret, {"age": 600}),
        ("the token of another agent", code.CODE_AGENT_ID_NOT_ALLOWED, others, {}),
        ("a signature for another host", code.CODE_UNAUTHENTICATED, mine, {"audience": "127.0.0.1", "_sign_for": "other.example"}),
    ]
    told = []
    for name, expected, credential, options in cases:
        agent = hand_agent(gateway)
        request = signed_connect(credential, "myapp", age=options.get("age", 0), audience=options.get("_sign_for", "127.0.0.1"))
        if "_sign_for" in options:
            request.audience = "127.0.0.1"
        agent.send(connect=request)
        error = agent.expect("error")
        told.append((name, code.Name(error.code)))
        if error.code == code.CODE_CLOCK_SKEW:
            skew[name] = error.server_time
        end = agent.end_of_link()
        assert end not in ("OK", 1000), f"{name}: the link ended with {end}"
        for secret in (mine[-43:], others[-43:]):
            assert secret not in error.message, f"{name}: the message holds a secret"
        agent.close()
    same(told, [(name, code.Name(expected)) for name, expected, *_ in cases], "codes")
    assert all(skew.values()) and len(skew) == 2, "clock skew is told with the gateway's time"
    same(gateway.sessions(), 0, "sessions")


def a_replayed_nonce_is_refused(world):
    gateway = world.gateway()
    pb = messages()
    request = signed_connect(gateway.credentials["myapp"], "myapp")
    first, second = hand_agent(gateway), hand_agent(gateway)
    first.send(connect=request)
    first.expect("accepted")
    second.send(connect=request)
    same(pb.ConnectError.Code.Name(second.expect("error").code), "CODE_REPLAYED", "code")
    same(gateway.sessions(), 1, "sessions")
    for agent in (first, second):
        agent.close()


def malformed_first_frames_are_refused(world):
    gateway = world.gateway()
    credential = gateway.credentials["myapp"]
    pb = messages()
    good = signed_connect(credential, "myapp")

    def changed(**fields):
        request = pb.ConnectRequest()
        request.CopyFrom(good)
        for name, value in fields.items():
            setattr(request, name, value)
        return {"connect": request}

    cases = {
        "data first": {"data": pb.TunnelData(id="x", chunk=b"x")}, "a ping first": {"control": pb.ControlMessage(type=1)},
        "an empty request": {"connect": pb.ConnectRequest()}, "a cut signature": changed(signature=good.signature[:16]),
        "an empty signature": changed(signature=b""), "a long signature": changed(signature=good.signature + b"\0"),
        "a short nonce": changed(nonce=b"abc"), "an id in capitals": changed(agent_id="MYAPP"), "an id with a dot": changed(agent_id="my.app"),
        "an id with a newline": changed(agent_id="my\napp"), "a huge id": changed(agent_id="a" * 3000), "no token": changed(token=""),
        "a secret for a token": changed(token=credential),
    }
    for name, frame in cases.items():
        agent = hand_agent(gateway)
        agent.send(**frame)
        try:
            which = agent.link.receive(5).WhichOneof("frame")
            assert which == "error", f"{name}: answered with {which}"
            end = agent.end_of_link()
        except LinkClosed as closed:
            end = closed.code
        assert end not in ("OK", 1000), f"{name}: the link ended with {end}"
        agent.close()
    same(gateway.sessions(), 0, "sessions")
    accepted = hand_agent(gateway)
    same(accepted.connect(credential, "myapp").WhichOneof("frame"), "accepted", "a right request afterwards")
    accepted.close()


@limit(30)
def a_link_that_never_speaks_is_closed_within_its_deadline(world):
    """Five seconds are allowed for the first frame."""
    gateway = world.gateway()
    agent = hand_agent(gateway)
    took = seconds_until(lambda: _ended(agent), "the gateway closes the silent link", 9)
    world.note(f"closed after {took:.1f} s")
    agent.close()


def a_token_made_while_the_gateway_runs_works_within_a_second(world):
    gateway = world.gateway()
    gateway.new_token("fresh")

    def accepted():
        agent = hand_agent(gateway)
        frame = agent.connect(gateway.credentials["fresh"], "fresh")
        agent.close()
        return frame.WhichOneof("frame") == "accepted"

    world.note(f"accepted after {seconds_until(accepted, 'the new token is accepted', 1.5) * 1e3:.0f} ms")


def removing_a_token_cuts_its_session_within_a_second_and_no_other(world):
    _revoke(world, lambda path, text: path.write_text(text))


def replacing_the_token_file_by_rename_is_noticed_too(world):
    def rename(path, text):
        new = path.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text)
        new.replace(path)

    _revoke(world, rename)


def the_link_of_a_removed_token_ends_with_the_code_for_it(world):
    gateway = world.gateway(agents=("kept",))
    kept_only = gateway.tokens.read_text()
    gateway.new_token("cut")
    gateway.process.terminate()
    gateway.process.exit_code(5)
    gateway.start()
    agent = hand_agent(gateway)
    same(agent.connect(gateway.credentials["cut"], "cut").WhichOneof("frame"), "accepted", "the first frame")
    gateway.tokens.write_text(kept_only)
    same(agent.end_of_link(3), {"grpc": "UNAUTHENTICATED", "ws": 4401}[world.transport], "the end of the link")
    agent.close()


@once
def a_token_file_that_cannot_be_read_changes_nothing(world):
    gateway = world.gateway()
    upstream = world.upstream()
    agent = gateway.agent(upstream.port)
    text = gateway.tokens.read_text()
    before = gateway.process.log()
    gateway.tokens.write_text("this is [ not what it was\n")
    until(lambda: len(gateway.process.log()) > len(before), "the gateway complains in its log", 3)
    same((gateway.status_of("/"), agent.running(), gateway.sessions()), (200, True, 1), "service goes on")
    gateway.tokens.write_text(text)
    same(gateway.status_of("/"), 200, "and on")


@limit(60)
def nothing_secret_is_in_any_log_at_trace(world):
    trace = {"INDRANET_LOG": "trace"}
    marks = {name: f"{name}-5ecret-{os.urandom(6).hex()}" for name in ("authorization", "cookie", "set-cookie", "query", "body")}

    def answer(exchange):
        size = sum(map(len, exchange.body()))
        exchange.respond(200, b"%d" % size, [("set-cookie", f"session={marks['set-cookie']}; HttpOnly")])

    tunnel = world.tunnel(routes={"/login": answer}, env=trace)
    gateway = tunnel.gateway
    credential = gateway.credentials["myapp"]
    for _ in range(3):
        reply = tunnel.curl(f"/login?key={marks['query']}", "-H", f"Authorization: Bearer {marks['authorization']}", "-H",
                            f"Cookie: sid={marks['cookie']}", "--data-binary", marks["body"])
        same((reply.status, marks["set-cookie"].encode() in reply.values("set-cookie")[0]), (200, True), "the answer")
    # Failures are when programs like to print what they were given.
    wrong_secret = credential[:-43] + "A" * 42 + "Q"
    refused = gateway.start_agent(9, credential=credential[:-43] + base64.urlsafe_b64encode(b"w" * 32).decode().rstrip("="), env=trace)
    refused.exit_code(5)
    malformed = gateway.start_agent(9, credential=wrong_secret + "too-long", env=trace)
    malformed.exit_code(5)
    request = signed_connect(credential, "myapp", age=600)
    by_hand = hand_agent(gateway)
    by_hand.send(connect=request)
    by_hand.expect("error")
    by_hand.close()
    tunnel.upstream.stop()
    tunnel.curl(f"/login?key={marks['query']}", "-H", f"Authorization: Bearer {marks['authorization']}", "-H", f"Cookie: sid={marks['cookie']}")
    tunnel.agent.terminate()
    tunnel.agent.exit_code()
    gateway.process.terminate()
    gateway.process.exit_code()

    key = secret_of(credential)
    secrets = {
        "the secret half": credential[-43:], "the secret in hex": key.hex(), "the secret as a list": ", ".join(str(octet) for octet in key[:8]),
        "the secret in base64": base64.b64encode(key).decode().rstrip("="), "a refused secret": base64.urlsafe_b64encode(b"w" * 32).decode()[:-1],
        "a malformed credential": "A" * 42 + "Q", "a signature in hex": request.signature.hex(),
        "a signature in base64": base64.b64encode(request.signature).decode(), "a signature as a list": ", ".join(map(str, request.signature[:8])),
    } | {f"the value of {name}": mark for name, mark in marks.items()}
    found = []
    for process in (gateway.process, tunnel.agent, refused, malformed):
        text = process.log() + process.stdout()
        found += [f"{name} in {process.name}" for name, secret in secrets.items() if secret in text]
        # bytes as Rust's Debug prints them
        found += [f"{name} (escaped) in {process.name}" for name, octets in (("the secret", key), ("a signature", bytes(request.signature)))
                  if re.escape(_rust_debug(octets)) and _rust_debug(octets) in text]
    same(found, [], "secrets in logs")
    lines = {process.name: process.log().count("\n") for process in (gateway.process, tunnel.agent)}
    assert any("TRACE" in process.log() or '"trace"' in process.log().lower() or "DEBUG" in process.log()
               for process in (gateway.process, tunnel.agent)), "INDRANET_LOG=trace made no verbose log, so this check showed nothing"
    world.note(f"searched {lines} lines")


@once
def no_secret_is_in_a_command_line_or_in_help(world):
    tunnel = world.tunnel()
    secret = tunnel.gateway.credentials["myapp"][-43:]
    for process in tunnel.processes():
        assert secret not in open(f"/proc/{process.pid}/cmdline").read()
    shown = world.run(world.tool("agent-tunnel"), "connect", "--help", env={"INDRANET_TOKEN": tunnel.gateway.credentials["myapp"]}).stdout
    assert secret not in shown, "--help shows the value of INDRANET_TOKEN"


def _revoke(world, write):
    gateway = world.gateway(agents=("kept",))
    kept_only = gateway.tokens.read_text()
    gateway.new_token("cut")
    upstream = world.upstream()
    kept = gateway.agent(upstream.port, "kept")

    def online():
        """The gateway may need a moment to read the new token."""
        agent = gateway.start_agent(upstream.port, "cut")
        until(lambda: gateway.online("cut") or not agent.running(), "the agent is online or refused")
        return agent if agent.running() else None

    agent = until(online, "the agent with the new token is online", 3)
    same((gateway.sessions(), gateway.status_of("/", "cut")), (2, 200), "before")
    write(gateway.tokens, kept_only)
    took = seconds_until(lambda: gateway.sessions() == 1, "the session is cut", 3)
    assert took <= 1.1, f"the session was cut after {took:.2f} s"
    world.note(f"cut after {took * 1e3:.0f} ms")
    same((gateway.status_of("/", "cut"), gateway.status_of("/", "kept")), (404, 200), "after")
    same(kept.running(), True, "the other agent runs on")
    if not agent.running():
        same(agent.child.returncode, EXIT_REFUSED, "exit of the revoked agent")
    until(lambda: "revoked" in agent.log() or "refused" in agent.log(), "the agent says why it is offline", 3)


def _ended(agent):
    try:
        agent.link.receive(0.05)
    except LinkClosed:
        return True
    except AssertionError:
        return False
    return False


def _rust_debug(octets):
    """b"..." as Rust's bytes crate shows it, without the quotes."""
    special = {0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return "".join(special.get(octet) or (chr(octet) if 32 <= octet < 127 else f"\\x{octet:02x}") for octet in octets)
