"""TLS as openssl and curl see it: versions, ciphers, names, ALPN, certificates exchanged under load, certificates of agents."""

import contextlib
import re
import threading

from kit.client import curl
from kit.clock import WrongClock
from kit.data import MIB, data, sha256
from kit.marks import limit
from kit.process import accepts, free_port
from kit.proxies import ConnectProxy, SocksProxy, interceptor, tinyproxy
from kit.survival import Network
from kit.tls import OPENSSL, Authority, handshake, secure_tunnel, subject
from kit.waiting import same, seconds_until, until
from kit.world import DOMAIN

EXIT_UNREACHABLE, EXIT_REFUSED = 69, 77
GATEWAY = "gw.example.com"


def _curl(https, authority, path="/", *arguments, **options):
    return curl(f"https://myapp.{DOMAIN}:{https}{path}", "--cacert", authority.ca, *arguments, **options)


OLD = (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], ["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"])
WEAKEST = "ALL:eNULL:@SECLEVEL=0"


def _offers(arguments):
    """openssl itself refuses old versions unless it is told otherwise."""
    return arguments if "-cipher" in arguments else [*arguments, "-cipher", WEAKEST]


def old_versions_and_empty_ciphers_are_refused_on_every_port(world):
    """By the gateway, in the handshake: a server of openssl that takes them shows that the client would speak them."""
    tunnel, authority, https = secure_tunnel(world)
    weak = free_port()
    cert, key = authority.issue("weak", "weak", rsa=True)  # those ciphers want RSA
    world.start("s_server", [authority.openssl, "s_server", "-accept", f"127.0.0.1:{weak}", "-cert", cert, "-key", key, "-cipher", WEAKEST, "-quiet"], OPENSSL)
    until(lambda: accepts(weak), "the weak server listens", 10)
    gateway = tunnel.gateway
    for old in OLD:
        done = handshake(world, weak, *_offers(old))
        assert done.returncode == 0 and "Cipher is (NONE)" not in done.stdout, f"this client does not speak {old}: {done.stdout[-300:]} {done.stderr[-300:]}"
        for port in (https, gateway.http, gateway.grpc, gateway.ws):
            done = handshake(world, port, *_offers(old))
            assert "Cipher is (NONE)" in done.stdout and done.returncode != 0, f"{port} {old}: {done.stdout[-300:]}"
            assert "alert" in done.stderr, f"{port} {old}: it was not the gateway that refused: {done.stderr[-300:]}"
    for port in (https, gateway.http, gateway.grpc, gateway.ws):
        for new in ("-tls1_2", "-tls1_3"):
            done = handshake(world, port, new)
            assert re.search(r"Cipher is (ECDHE-ECDSA|TLS)_?", done.stdout) and "(NONE)" not in done.stdout, f"{port} {new}: {done.stdout[-500:]}"


def every_port_agrees_on_what_it_speaks(world):
    tunnel, _, https = secure_tunnel(world)
    gateway = tunnel.gateway
    agreed = lambda done: (re.search(r"ALPN protocol: (.*)", done.stdout) or [None, None])[1]
    for port, preferred, spoken in ((https, "h2", ("h2", "http/1.1")), (gateway.http, "h2", ("h2", "http/1.1")),
                                    (gateway.grpc, "h2", ("h2",)), (gateway.ws, "http/1.1", ("http/1.1",))):
        for offer in ("h2,http/1.1", "http/1.1,h2"):
            same(agreed(handshake(world, port, "-alpn", offer)), preferred, f"ALPN of {offer} on {port}")
        for offer in ("h2", "http/1.1", "http/1.0"):
            done = handshake(world, port, "-alpn", offer)
            same(agreed(done), offer if offer in spoken else None, f"ALPN of {offer} on {port}")
            same(done.returncode == 0, offer in spoken, f"whether {offer} alone is taken on {port} ({done.stderr[-200:]})")


def curl_is_served_over_tls_in_both_versions(world):
    tunnel, authority, https = secure_tunnel(world, "--redirect-to-https")
    for version in ("--http1.1", "--http2"):
        reply = _curl(https, authority, "/echo", version, "--data-binary", "@-", data=data(5 * MIB))
        same((reply.exit, reply.status, sha256([reply.body])), (0, 200, sha256([data(5 * MIB)])), f"an echo, {version}")
        reply = _curl(https, authority, "/headers", version)
        same(tunnel.upstream.last("/headers").values("x-forwarded-proto"), [b"https"], "x-forwarded-proto")
        reply = _curl(https, authority, "/", version, "-H", f"Host: other.{DOMAIN}")
        same((reply.status, reply.header("indranet-error")), (421, "misdirected_request"), "another host")
    reply = tunnel.curl("/a?b=c")
    same((reply.status, reply.header("location")), (308, f"https://myapp.{DOMAIN}:{https}/a?b=c"), "plain HTTP")
    reply = curl(f"http://myapp.{DOMAIN}:{https}/")
    same((reply.status, b"speaks TLS" in reply.body), (400, True), "plain HTTP on the port of HTTPS")
    same(curl(f"https://myapp.{DOMAIN}:{https}/").exit, 60, "curl without the authority")
    same(tunnel.agent.stdout().strip(), f"https://myapp.{DOMAIN}:{https}", "the URL that the agent shows")


@limit(90)
def curl_sees_an_answer_that_comes_before_its_body_was_read(world):
    """The gateway's own and the service's, for bodies within a frame, within what may be sent at first, and beyond that."""
    tunnel, authority, https = secure_tunnel(world, routes={"/refuses": lambda exchange: exchange.respond(403, b"no")})
    for version in ("--http1.1", "--http2"):
        for size in (5, 100_000, 3 * MIB):
            for expected, path, host in ((403, "/refuses", "myapp"), (404, "/", "nobody")):
                url, body = f"https://{host}.{DOMAIN}:{https}{path}", data(size)
                told = [curl(url, "--cacert", authority.ca, version, "--data-binary", "@-", data=body) for _ in range(20)]
                same({(reply.exit, reply.status) for reply in told}, {(0, expected)}, f"answers to {size} bytes over {version}")
    tunnel.gateway.nothing_in_flight()


@limit(120)
def certificates_are_exchanged_under_load(world):
    """Clients of both versions all the while, new connections and kept ones; agents come and go over their ports."""
    tunnel, authority, https = secure_tunnel(world)
    gateway = tunnel.gateway
    stop, failed, served = threading.Event(), [], []

    def ask(version):
        while not stop.is_set():  # ten requests on one connection, then another one
            reply = _curl(https, authority, "/?n=[1-10]", version, "--write-out", "%{http_code} ", output="/dev/null")
            served.append(version)
            if reply.exit or reply.written.split() != ["200"] * 10:
                failed.append(f"{version}: exit {reply.exit} {reply.written} {reply.error}")

    asking = [world.background(ask, version) for version in ("--http1.1", "--http2")]
    ports = (https, gateway.http, gateway.grpc, gateway.ws)
    for name in ("second", "third"):
        authority.usual(name)
        until(lambda: subject(world, https, f"myapp.{DOMAIN}") == name, f"{name} is shown", 5)
        for port in ports:
            same(subject(world, port, f"myapp.{DOMAIN}"), name, f"the certificate on {port}")
        before = len(served)
        until(lambda: len(served) >= before + 4, "clients were served since", 20)
        fresh = gateway.start_agent(tunnel.upstream.port, flags=["--ca-file", authority.ca])
        until(lambda: fresh.stdout(), "another agent comes", 10)
        fresh.terminate()
        same(fresh.exit_code(), 0, "exit of the other agent")
    stop.set()
    for future in asking:
        future.result(30)
    same(failed, [], f"failures of {len(served)}")
    same(gateway.sessions(), 1, "sessions")
    assert tunnel.agent.log().count("online") == 1, "the agent kept its link"
    world.note(f"{10 * len(served)} requests over {len(served)} connections, 0 failed")


def the_name_decides_which_certificate_is_shown(world):
    """On every port, in both versions of TLS; a name of its own goes before a wildcard, and a wildcard stands for one label."""
    authority, https = Authority(world), free_port()
    pairs = [authority.usual(), authority.issue("shop", "shop", "DNS:shop.example.org"), authority.issue("wild", "wild", "DNS:*.example.org"),
             authority.issue("one", "one", f"DNS:one.{DOMAIN}")]
    flags = [part for cert, key in pairs for part in ("--tls-cert", cert, "--tls-key", key)]
    gateway = world.gateway(*flags, "--https", f"127.0.0.1:{https}")
    names = {f"a.{DOMAIN}": "usual", f"one.{DOMAIN}": "one", "shop.example.org": "shop", "SHOP.example.org": "shop", "other.example.org": "wild",
             "a.b.example.org": "usual", "example.org": "usual", "nobody.example": "usual", f"a.b.{DOMAIN}": "usual"}
    for port in (https, gateway.http, gateway.grpc, gateway.ws):
        for version in ("-tls1_2", "-tls1_3"):
            same({name: subject(world, port, name, version) for name in names}, names, f"certificates on {port} with {version}")


@limit(60)
def somebody_who_opens_the_connection_with_a_trusted_certificate_is_noticed(world):
    """haproxy in between, with a certificate for the gateway's name from an authority that the agent trusts."""
    authority, interceptors = Authority(world), Authority(world, "interceptors-ca")
    gateway, upstream = _named(world, authority), world.upstream()
    alpn = {"grpc": "h2", "ws": "http/1.1"}[world.transport]
    gateway.way = interceptor(world, gateway.link_port, *interceptors.issue("between", "between", f"DNS:{GATEWAY}"), alpn)
    trusted = ["--ca-file", interceptors.ca, "--tls-server-name", GATEWAY]
    for binding in ("auto", "require"):
        agent = gateway.start_agent(upstream.port, flags=[*trusted, "--channel-binding", binding])
        same(agent.exit_code(10), EXIT_REFUSED, f"exit with {binding} ({agent.log()[-300:]})")
        assert "opens their TLS connection and reads it" in agent.log(), f"with {binding} it does not say so: {agent.log()}"
    same(gateway.sessions(), 0, "sessions")
    # It is the binding that tells: who gives it up gets through.
    gateway.agent(upstream.port, flags=[*trusted, "--channel-binding", "none"])
    same(gateway.status_of("/"), 200, "a request to an agent that was told not to look")


@limit(60)
def tls_goes_through_proxies_and_is_with_the_gateway(world):
    """CONNECT and SOCKS5. The agent's machine does not know the gateway's name, its proxies do; the signature is bound to the connection."""
    authority, names = Authority(world), {GATEWAY: "127.0.0.1", "other.example.com": "127.0.0.1"}
    gateway, upstream = _named(world, authority, "--audience", GATEWAY), world.upstream()
    http, socks = ConnectProxy(credentials="ann:s3cret", names=names), SocksProxy(user=b"ann", password=b"s3cret", names=names)
    ways = {f"http://ann:s3cret@127.0.0.1:{http.port}": http, f"socks5://ann:s3cret@127.0.0.1:{socks.port}": socks}
    flags = ["--ca-file", authority.ca, "--channel-binding", "require", "--max-retries", "0"]
    for way, proxy in ways.items():
        gateway.name = GATEWAY
        agent = gateway.agent(upstream.port, flags=[*flags, "--proxy", way])
        same((proxy.targets, gateway.status_of("/")), ([(GATEWAY, gateway.link_port)], 200), f"what {way} was asked for, and a request")
        assert "WARN" not in agent.log(), agent.log()
        agent.terminate()
        until(lambda: gateway.sessions() == 0, "the session ends")
        gateway.name = "other.example.com"
        refused = gateway.start_agent(upstream.port, flags=[*flags, "--proxy", way])
        same(refused.exit_code(10), EXIT_UNREACHABLE, f"exit where the certificate is for another name ({refused.log()[-300:]})")
        assert f"not for other.example.com (it is for {GATEWAY}, localhost)" in refused.log(), refused.log()
    # The same proxies lead to somebody who opens the connection.
    interceptors = Authority(world, "interceptors-ca")
    alpn = {"grpc": "h2", "ws": "http/1.1"}[world.transport]
    gateway.name, gateway.way = GATEWAY, interceptor(world, gateway.link_port, *interceptors.issue("between", "between", f"DNS:{GATEWAY}"), alpn)
    for way in ways:
        caught = gateway.start_agent(upstream.port, flags=["--ca-file", interceptors.ca, *flags[2:], "--proxy", way])
        same(caught.exit_code(10), EXIT_REFUSED, f"exit behind an interceptor ({caught.log()[-300:]})")
        assert "opens their TLS connection and reads it" in caught.log(), caught.log()


@limit(60)
def tls_goes_through_tinyproxy(world):
    authority = Authority(world)
    gateway, upstream, port = _named(world, authority, "--audience", "localhost"), world.upstream(), tinyproxy(world)
    gateway.name = "localhost"
    agent = gateway.agent(upstream.port, flags=["--ca-file", authority.ca, "--channel-binding", "require"], env={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
    body = data(3 * MIB)
    same(sha256([gateway.curl("/echo", "--data-binary", "@-", data=body).body]), sha256([body]), "an echo")
    same(agent.connections_to(port) != set(), True, "whether the agent's link is with the proxy")
    same(agent.connections_to(gateway.link_port), set(), "connections past the proxy")
    assert "WARN" not in agent.log(), agent.log()


@limit(90)
def an_agent_whose_clock_is_outside_the_certificates_time_says_so_and_does_not_spin(world):
    """Before the gateway is even asked. Once the clock is set, the agent is online by itself."""
    authority, upstream = Authority(world), world.upstream()
    gateway = _named(world, authority)
    for seconds, words in ((-7200, "is not valid yet: it will be from"), (7 * 86400, "has expired: it was valid until")):
        clock = WrongClock(world, seconds)
        with contextlib.closing(Network(gateway.link_port)) as network:
            gateway.way = network.port
            agent = gateway.start_agent(upstream.port, flags=["--ca-file", authority.ca, "--tls-server-name", GATEWAY], env=clock.env)
            # Each pause is of any length up to its limit: fewer of them could by chance be short.
            took = seconds_until(lambda: network.made >= 13, "the agent tries again", 30)
            assert took > 1, f"thirteen attempts within {took:.2f} s, where pauses grow to a second"
            world.note(f"thirteen attempts within {took:.1f} s")
            told = f"the gateway's certificate {words} .*Z, and this machine's clock shows {clock.date()}T.*set this machine's clock"
            assert re.search(told, agent.log()), f"{told} is not in {agent.log()}"
            clock.set(0)
            until(lambda: agent.stdout(), "the agent is online once its clock is right", 20)
            same(gateway.status_of("/"), 200, "a request")
            agent.terminate()
            same(agent.exit_code(), 0, "exit")


def _named(world, authority, *flags):
    """A gateway whose certificate is for its name, not for its address."""
    cert, key = authority.issue("gateway", "gateway", f"DNS:{GATEWAY}", "DNS:localhost")
    return world.gateway("--tls-cert", cert, "--tls-key", key, "--https", f"127.0.0.1:{free_port()}", *flags)


def an_agent_says_what_is_wrong_with_tls(world):
    authority, https = Authority(world), free_port()
    cert, key = authority.issue("elsewhere", "elsewhere", "DNS:gw.example.com")
    gateway = world.gateway("--tls-cert", cert, "--tls-key", key, "--https", f"127.0.0.1:{https}", "--client-ca", authority.ca, "--require-client-cert")
    own, other = authority.issue("own", "myapp"), authority.issue("other", "other")

    def ends(code, text, *flags):
        agent = gateway.start_agent(9, flags=["--max-retries", "0", *flags])
        same(agent.exit_code(10), code, f"{text}: exit ({agent.log()[-400:]})")
        assert text in agent.log(), f"{text} is not in {agent.log()[-600:]}"

    trusted = ["--ca-file", authority.ca, "--tls-server-name", "gw.example.com"]
    ends(EXIT_UNREACHABLE, "--ca-file FILE")
    ends(EXIT_UNREACHABLE, "--tls-server-name NAME", "--ca-file", authority.ca)
    ends(EXIT_UNREACHABLE, "--client-cert FILE", *trusted)
    ends(EXIT_REFUSED, "agent_id_not_allowed", *trusted, "--client-cert", other[0], "--client-key", other[1])
    agent = gateway.agent(9, flags=[*trusted, "--client-cert", own[0], "--client-key", own[1]])
    # Nobody listens on port 9, which is another matter.
    same([line for line in agent.log().splitlines() if "WARN" in line and "does not answer" not in line], [], "warnings")
    insecure = gateway.start_agent(9, flags=["--insecure-skip-verify", "--client-cert", own[0], "--client-key", own[1]])
    until(lambda: "online" in insecure.log(), "an agent that believes anybody is online", 10)
    assert "--insecure-skip-verify: the certificate of the gateway is NOT checked" in insecure.log(), insecure.log()


def a_host_that_is_passed_through_shows_the_services_own_certificate(world):
    authority, own, https, port = Authority(world), Authority(world, "own-ca"), free_port(), free_port()
    cert, key = authority.usual()
    shop = own.issue("shop", "the service itself", "DNS:shop.example.org")
    config = world.folder / "gateway.toml"
    config.write_text("[[agent]]\nid = 'myapp'\npassthrough = ['shop.example.org']\n")
    gateway = world.gateway("--config", config, "--tls-cert", cert, "--tls-key", key, "--https", f"127.0.0.1:{https}")
    world.start("s_server", [own.openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", shop[0], "-key", shop[1], "-www", "-quiet"], OPENSSL)
    until(lambda: accepts(port), "the service listens", 10)
    agent = gateway.start_agent(port, flags=["--ca-file", authority.ca, "--passthrough"])
    until(lambda: agent.stdout(), "the agent is online", 10)
    url = f"https://shop.example.org:{https}/"
    reply = curl(url, "--cacert", own.ca)
    same((reply.exit, reply.status), (0, 200), f"curl ({reply.error})")
    same(curl(url, "--cacert", authority.ca).exit, 60, "curl that trusts the gateway's authority alone")
    same(subject(world, https, "shop.example.org"), "the service itself", "the certificate")
    same(subject(world, https, f"myapp.{DOMAIN}"), "usual", "the certificate of another name")
    gateway.nothing_in_flight()
