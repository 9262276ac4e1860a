"""Who may attach, who is told what, and what no log ever shows."""

import base64
import json
import os
import re
import stat
import time

from kit.client import curl
from kit.clock import WrongClock
from kit.guesses import AT_A_TIME, answer, guesses
from kit.marks import limit, once
from kit.survival import Load, Service
from kit.tls import secure_tunnel
from kit.waiting import promised, same, seconds_until, until, within
from kit.wire import LinkClosed, hand_agent, messages, secret_of, signed_connect, token_of, with_secret
from kit.world import CREDENTIAL, DOMAIN

EXIT_REFUSED = 77
TRACE = {"INDRANET_LOG": "trace"}


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
    wrong_secret = with_secret(right, bytes(32))
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
    wrong_secret = with_secret(mine, bytes(32))
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


@limit(60)
def an_agent_whose_clock_is_wrong_says_how_wrong_and_works(world):
    """It is told the time once for all its links, and again when its clock was set meanwhile."""
    upstream, gateway = world.upstream(), world.gateway()
    for seconds, direction in ((-7230, "behind"), (7230, "ahead of")):
        clock, before = WrongClock(world, seconds), _refusals(gateway, "CLOCK_SKEW")
        agent = gateway.agent(upstream.port, env=clock.env, flags=("--max-link-age", "1s"))
        until(lambda: agent.log().count("replaced by a younger one") >= 3, "its link is replaced three times", 15)
        same(_refusals(gateway, "CLOCK_SKEW") - before, 1, "refusals for its clock, over all of its links")
        same(gateway.status_of("/"), 200, "a request")
        assert re.search(f"this host's clock is 2h (29|30|31)s {direction} the gateway's; let NTP set it", agent.log()), agent.log()
        clock.set(0)
        until(lambda: _refusals(gateway, "CLOCK_SKEW") - before == 2, "once its clock is right, the correction is wrong", 15)
        links = agent.log().count("replaced by a younger one")
        until(lambda: agent.log().count("replaced by a younger one") >= links + 2, "its link is replaced twice", 15)
        same((_refusals(gateway, "CLOCK_SKEW") - before, gateway.status_of("/")), (2, 200), "refusals for its clock, and a request")
        agent.terminate()
        same(agent.exit_code(), 0, "exit")


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


@limit(240)
def ten_thousand_wrong_signatures_slow_down_one_address_and_nobody_else(world):
    """Ten at once and ten a minute are looked at, the rest are told to wait; from elsewhere agents come and clients ask as before."""
    count, guesser = 10_000, "127.0.0.66"
    service, gateway = Service(world), world.gateway(agents=("myapp", "other"))
    right = gateway.credentials["myapp"]
    gateway.agent(service.port)
    load = Load(world, gateway, rate=50, streams=0, uploads=0)
    begun = time.monotonic()
    guessing = guesses(world, gateway, with_secret(right, os.urandom(32)), guesser, count)
    until(lambda: _refusals(gateway, "LIMIT") > 0, "the address is slowed down", 20)
    came = _agents_that_come_while(guessing, gateway, service)
    took = time.monotonic() - begun
    same(guessing.child.returncode, 0, f"the guesses end ({guessing.log()[-600:]})")
    codes, looked_at = _slowed_down(json.loads(guessing.stdout()), count, took)
    same(_refusals(gateway, "LIMIT"), codes["CODE_LIMIT"], "refusals that the gateway counted")
    error = answer(gateway.link_port, world.transport, guesser, signed_connect(right, "myapp"))
    same(messages().ConnectError.Code.Name(error.code), "CODE_LIMIT", "the right signature from that address")
    asked = load.end()
    same((asked["failed"], gateway.sessions()), (0, 1), f"requests that failed of {asked['asked']} ({asked['outcomes']}), and sessions")
    lines = sum("refused" in line for line in gateway.process.log().splitlines())
    assert lines <= looked_at, f"{lines} lines of log about {count} guesses"
    world.note(f"{count} in {took:.0f} s: {codes}; {came} agents came from elsewhere; {asked['asked']} requests, 0 failed")


@limit(120)
def a_token_that_is_revoked_under_load_ends_alone_and_its_clients_are_told(world):
    promised(1, lambda: _revoke_under_load(world), "the sessions of a revoked token end after the command")


def _revoke_under_load(world):
    """Seconds from the end of the command to the end of the sessions. All else is as it should be."""
    service = Service(world)
    audit = world.folder / f"{service.process.name}.audit.jsonl"
    gateway = world.gateway("--audit-log", audit, agents=("kept", "cut"))
    two = {"INDRANET_CONNECTIONS": "2"}
    for name in ("kept", "cut"):
        gateway.agent(service.port, name, env=two)
    until(lambda: gateway.sessions() == 4, "both agents have both links")
    loads = {name: Load(world, gateway, rate=100, agents=(name,)) for name in ("kept", "cut")}

    def events(what, agent_id):
        """The sessions of the audit log's lines of a kind."""
        lines = map(json.loads, audit.read_text().splitlines())
        return [line["session"] for line in lines if (line["what"], line.get("agent")) == (what, agent_id)]

    def answered(outcome):
        return gateway.metrics().total("indranet_requests_total", outcome=outcome)

    until(lambda: answered("ok") > 400, "the load is at work", 15)
    sessions = events("connected", "kept")
    same(len(sessions), 2, "sessions of the other token")
    _revoke_by_command(world, gateway, "cut")
    took = seconds_until(lambda: gateway.sessions() == 2, "the sessions of the revoked token end", 5)
    reply = gateway.curl("/small?id=1", agent_id="cut")
    same((reply.status, reply.header("indranet-error")), (404, "agent_not_found"), "the answer to who asks for the revoked agent")
    until(lambda: answered("agent_not_found") > 200, "clients go on asking", 10)
    told = {name: load.end() for name, load in loads.items()}
    same((told["kept"]["failed"], told["kept"]["outcomes"].get("small whole", 0) > 0), (0, True), f"requests of the other token: {told['kept']['outcomes']}")
    same((events("connected", "kept"), events("disconnected", "kept")), (sessions, []), "sessions of the other token")
    same(len(events("withdrawn", "cut")), 2, "sessions that were withdrawn")
    same((told["cut"]["wrong"], told["cut"]["silent"]), (0, 0), "wrong bodies and clients without an outcome")
    clear = ("whole", "404 agent_not_found", "502 tunnel_lost", "aborted within the body")
    unclear = {what: number for what, number in told["cut"]["outcomes"].items() if not what.split(" ", 1)[1].startswith(clear)}
    same(unclear, {}, "answers to clients of the revoked agent that say nothing")
    world.note(f"ended after {took * 1e3:.0f} ms; the other token: {told['kept']['asked']} requests, 0 failed; the revoked one: {told['cut']['outcomes']}")
    return took


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

    def works():
        name = f"fresh{len(gateway.credentials)}"
        gateway.new_token(name)

        def accepted():
            agent = hand_agent(gateway)
            frame = agent.connect(gateway.credentials[name], name)
            agent.close()
            return frame.WhichOneof("frame") == "accepted"

        return seconds_until(accepted, "the new token is accepted", 5)

    world.note(f"accepted after {promised(1.5, works, 'a new token is accepted') * 1e3:.0f} ms")


def removing_a_token_cuts_its_session_within_a_second_and_no_other(world):
    _revoked_within_a_second(world, lambda path, text: path.write_text(text))


def replacing_the_token_file_by_rename_is_noticed_too(world):
    def rename(path, text):
        new = path.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text)
        new.replace(path)

    _revoked_within_a_second(world, rename)


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
    same(agent.end_of_link(), {"grpc": "UNAUTHENTICATED", "ws": 4401}[world.transport], "the end of the link")
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
    marks = {name: f"{name}-5ecret-{os.urandom(6).hex()}" for name in ("authorization", "cookie", "set-cookie", "query", "body")}

    def answer(exchange):
        size = sum(map(len, exchange.body()))
        exchange.respond(200, b"%d" % size, [("set-cookie", f"session={marks['set-cookie']}; HttpOnly")])

    tunnel = world.tunnel(routes={"/login": answer}, env=TRACE)
    gateway = tunnel.gateway
    credential = gateway.credentials["myapp"]
    for _ in range(3):
        reply = tunnel.curl(f"/login?key={marks['query']}", "-H", f"Authorization: Bearer {marks['authorization']}", "-H",
                            f"Cookie: sid={marks['cookie']}", "--data-binary", marks["body"])
        same((reply.status, marks["set-cookie"].encode() in reply.values("set-cookie")[0]), (200, True), "the answer")
    # Failures are when programs like to print what they were given.
    wrong_secret = credential[:-43] + "A" * 42 + "Q"
    refused = gateway.start_agent(9, credential=credential[:-43] + base64.urlsafe_b64encode(b"w" * 32).decode().rstrip("="), env=TRACE)
    refused.exit_code(5)
    malformed = gateway.start_agent(9, credential=wrong_secret + "too-long", env=TRACE)
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

    secrets = _forms("secret", secret_of(credential)) | _forms("signature", request.signature) | {
        "a refused secret": base64.urlsafe_b64encode(b"w" * 32).decode()[:-1], "a malformed credential": "A" * 42 + "Q",
    } | {f"the value of {name}": mark for name, mark in marks.items()}
    _nothing_of(secrets, world, {process.name: process.log() + process.stdout() for process in (gateway.process, tunnel.agent, refused, malformed)})


@limit(90)
def nothing_secret_is_in_any_log_of_a_life_over_tls(world):
    """Clients of both versions of HTTP, passwords, a rotation, a revocation, what fails, and the audit log; again at TRACE."""
    marks = {name: f"{name}-5ecret-{os.urandom(6).hex()}" for name in ("password", "wrong password", "bearer", "cookie", "set-cookie", "query", "body")}
    audit, master = world.folder / "audit.jsonl", world.folder / "master.key"
    same(world.run(world.tool("gateway-tunnel"), "key", "new", "--out", master).returncode, 0, "key new")
    derived = {"INDRANET_MASTER_KEY_FILE": str(master)}

    def answer(exchange):
        size = sum(map(len, exchange.body()))
        exchange.respond(200, b"%d" % size, [("set-cookie", f"session={marks['set-cookie']}; HttpOnly")])

    tunnel, authority, https = secure_tunnel(world, "--config", _asks_for(world, marks["password"]), "--audit-log", audit,
                                             routes={"/login": answer}, env=TRACE | derived)
    gateway = tunnel.gateway

    def ask(*arguments):
        reply = curl(f"https://myapp.{DOMAIN}:{https}/login?key={marks['query']}", "--cacert", authority.ca, "-H", f"Cookie: sid={marks['cookie']}",
                     "--data-binary", marks["body"], *arguments)
        return reply.status

    right, wrong = ("-u", f"ann:{marks['password']}"), ("-u", f"ann:{marks['wrong password']}")
    for version in ("--http1.1", "--http2"):
        for expected, by in ((200, right), (401, wrong), (401, ("-H", f"Authorization: Bearer {marks['bearer']}"))):
            same(ask(version, *by), expected, f"status of {version}")
    before = gateway.credentials["myapp"]
    after = _rotated(world, gateway, "--audit-log", audit, env=derived)
    until(lambda: "token_rotated" in audit.read_text(), "the gateway has seen the rotation")
    renewed = gateway.start_agent(tunnel.upstream.port, credential=after, flags=("--ca-file", authority.ca), env=TRACE)
    until(lambda: gateway.sessions() == 2, "an agent with the new secret is online", 10)
    for version in ("--http1.1", "--http2"):
        same(ask(version, *right), 200, "a request")
    refused = gateway.start_agent(9, credential=with_secret(before, b"w" * 32), flags=("--ca-file", authority.ca), env=TRACE)
    same(refused.exit_code(10), EXIT_REFUSED, "exit with a wrong secret")
    tunnel.upstream.stop()
    for version in ("--http1.1", "--http2"):
        same(ask(version, *right), 502, "a request without a service")
    _revoke_by_command(world, gateway, "myapp")
    until(lambda: gateway.sessions() == 0, "the sessions end", 3)
    for process in (tunnel.agent, renewed, gateway.process):
        process.terminate()
        process.exit_code()

    basic = {name: base64.b64encode(f"ann:{marks[name]}".encode()).decode() for name in ("password", "wrong password")}
    secrets = _forms("old secret", secret_of(before)) | _forms("new secret", secret_of(after)) | {
        "the master key": master.read_text().strip(), "a refused secret": base64.urlsafe_b64encode(b"w" * 32).decode()[:-1],
        "the private key": (world.folder / "usual.key").read_text().splitlines()[1],
    } | {f"{name} in base64": text for name, text in basic.items()} | {f"the value of {name}": mark for name, mark in marks.items()}
    logs = {process.name: process.log() + process.stdout() for process in (gateway.process, tunnel.agent, renewed, refused)}
    for what in ("connected", "refused", "token_rotate", "token_rotated", "token_revoked", "withdrawn"):
        assert f'"what":"{what}"' in audit.read_text(), f"no {what} in the audit log: {audit.read_text()}"
    _nothing_of(secrets, world, logs | {"the audit log": audit.read_text()})


@once
def no_secret_is_in_a_command_line_or_in_help(world):
    tunnel = world.tunnel()
    secret = tunnel.gateway.credentials["myapp"][-43:]
    for process in tunnel.processes():
        assert secret not in open(f"/proc/{process.pid}/cmdline").read()
    shown = world.run(world.tool("agent-tunnel"), "connect", "--help", env={"INDRANET_TOKEN": tunnel.gateway.credentials["myapp"]}).stdout
    assert secret not in shown, "--help shows the value of INDRANET_TOKEN"


def _revoked_within_a_second(world, write):
    promised(1.1, lambda: _revoke(world, write), "the session is cut")


def _revoke(world, write):
    """Seconds from the removal of a token to the end of its session. All else is as it should be."""
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

    agent = until(online, "the agent with the new token is online", 6)
    same((gateway.sessions(), gateway.status_of("/", "cut")), (2, 200), "before")
    write(gateway.tokens, kept_only)
    took = seconds_until(lambda: gateway.sessions() == 1, "the session is cut", 5)
    world.note(f"cut after {took * 1e3:.0f} ms")
    same((gateway.status_of("/", "cut"), gateway.status_of("/", "kept")), (404, 200), "after")
    same(kept.running(), True, "the other agent runs on")
    if not agent.running():
        same(agent.child.returncode, EXIT_REFUSED, "exit of the revoked agent")
    until(lambda: "revoked" in agent.log() or "refused" in agent.log(), "the agent says why it is offline", 3)
    return took


def _agents_that_come_while(guessing, gateway, service):
    """Agents from another address connect and leave, one after the other. How many they were."""
    came = 0
    while guessing.running():
        agent = gateway.agent(service.port, "other")
        came += 1
        agent.terminate()
        same(agent.exit_code(), 0, "exit of an agent from elsewhere")
    assert came, "no agent came while the guesses went on"
    return came


def _slowed_down(told, count, seconds):
    """Every guess was answered, and few by a look at it. The codes, and how many may have been looked at."""
    codes = {code: number for code, number in told["codes"].items() if code != "none"}
    same((sum(codes.values()), set(codes)), (count, {"CODE_UNAUTHENTICATED", "CODE_LIMIT"}), f"answers, of {told['codes']}")
    looked_at = 10 + 10 * seconds / 60 + AT_A_TIME  # those that were on their way when the last one failed
    assert codes["CODE_UNAUTHENTICATED"] <= looked_at, f"{codes} in {seconds:.0f} s: at most {looked_at:.0f} signatures may be looked at"
    same(told["pauses"], codes["CODE_LIMIT"], "answers that say how long to wait")
    for pause in told["retry_after_ms"]:
        within(pause, 1, 6000, "the shortest and the longest pause, ms")
    return codes, looked_at


def _refusals(gateway, code):
    """How many agents the gateway has refused with a code."""
    return gateway.metrics().total("indranet_connect_rejections_total", code=code)


def _asks_for(world, password):
    """A configuration in which `myapp` is for Ann alone, who has this password."""
    done = world.run(world.tool("gateway-tunnel"), "password", "ann", "--stdin", input=password + "\n")
    same(done.returncode, 0, f"password ({done.stderr[-300:]})")
    path = world.folder / "gateway.toml"
    path.write_text(f"[[agent]]\nid = 'myapp'\nbasic_auth = ['{done.stdout.strip()}']\n")
    return path


def _rotated(world, gateway, *flags, env=None):
    """The new credential of `myapp`; the old one stays good for a day."""
    done = world.run(world.tool("gateway-tunnel"), "token", "rotate", token_of(gateway.credentials["myapp"]), "--tokens", gateway.tokens, *flags, env=env)
    same(done.returncode, 0, f"token rotate ({done.stderr[-300:]})")
    return CREDENTIAL.search(done.stdout).group()


def _revoke_by_command(world, gateway, agent_id):
    done = world.run(world.tool("gateway-tunnel"), "token", "revoke", token_of(gateway.credentials[agent_id]), "--tokens", gateway.tokens)
    same(done.returncode, 0, f"token revoke ({done.stderr[-300:]})")


def _forms(name, octets):
    """Every way in which a program may have written bytes."""
    octets = bytes(octets)
    return {
        f"the {name} in base64": base64.b64encode(octets).decode().rstrip("="), f"the {name} in base64url": base64.urlsafe_b64encode(octets).decode().rstrip("="),
        f"the {name} in hex": octets.hex(), f"the {name} as a list": ", ".join(map(str, octets[:8])), f"the {name} escaped": _rust_debug(octets),
    }


def _nothing_of(secrets, world, logs):
    """No text holds a secret; and they were verbose, or this would show nothing."""
    found = [f"{name} in {where}" for where, text in logs.items() for name, secret in secrets.items() if secret in text]
    same(found, [], "secrets in logs")
    for where in ("gateway.0", "agent-myapp.0"):
        assert "DEBUG" in logs[where] or "TRACE" in logs[where], f"INDRANET_LOG=trace made no verbose log of {where}"
    world.note(f"searched {({where: text.count(chr(10)) for where, text in logs.items()})} lines for {len(secrets)} secrets")


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
