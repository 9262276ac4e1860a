"""TLS as openssl and curl see it: versions, ciphers, names, ALPN, certificates exchanged under load, certificates of agents."""

import re

from kit.client import curl
from kit.data import MIB, data, sha256
from kit.marks import limit
from kit.process import accepts, free_port
from kit.waiting import same, until
from kit.world import DOMAIN, require

EXIT_UNREACHABLE, EXIT_REFUSED = 69, 77
OPENSSL = {"OPENSSL_CONF": "/dev/null"}


class Authority:
    """Certificates that one check makes for itself, by openssl."""

    def __init__(self, world, name="ca"):
        self.world, self.openssl, self.name = world, require("openssl"), name
        self.ca = world.folder / f"{name}.pem"
        self._make("req", "-x509", *self._key(name), "-out", self.ca, "-days", "2", "-subj", "/CN=checks", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name, subject, *names):
        """The files of a certificate and its key; what was there is replaced, the key first."""
        folder = self.world.folder
        cert, key, request, extensions = (folder / f"{name}.{kind}" for kind in ("pem", "key", "csr", "ext"))
        self._make("req", *self._key(name), "-out", request, "-subj", f"/CN={subject}")
        extensions.write_text("basicConstraints=CA:FALSE\n" + (f"subjectAltName={','.join(names)}\n" if names else ""))
        self._make("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", folder / f"{self.name}.key", "-days", "2", "-out", cert, "-extfile", extensions)
        return cert, key

    def usual(self, subject="usual"):
        return self.issue("usual", subject, f"DNS:*.{DOMAIN}", "IP:127.0.0.1")

    def _key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.world.folder / f"{name}.key"]

    def _make(self, *arguments):
        done = self.world.run(self.openssl, *arguments)
        same(done.returncode, 0, f"openssl {arguments[0]} ({done.stderr[-300:]})")


def _tunnel(world, *flags, agent_flags=()):
    """A tunnel with TLS everywhere, its authority, and the port for https."""
    authority, https = Authority(world), free_port()
    cert, key = authority.usual()
    tunnel = world.tunnel("--tls-cert", cert, "--tls-key", key, "--https", f"127.0.0.1:{https}", *flags, agent_flags=["--ca-file", authority.ca, *agent_flags])
    # A redirect would look like an answer of the service.
    until(lambda: tunnel.agent.stdout(), "the agent shows its URL", 10)
    return tunnel, authority, https


def _curl(https, authority, path="/", *arguments, **options):
    return curl(f"https://myapp.{DOMAIN}:{https}{path}", "--cacert", authority.ca, *arguments, **options)


def _handshake(world, port, *arguments):
    return world.run(require("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *arguments, env=OPENSSL)


def _subject(world, port, name):
    return re.search(r"subject=CN ?= ?(.*)", _handshake(world, port, "-servername", name).stdout)[1]


def old_versions_and_empty_ciphers_are_refused_on_every_port(world):
    tunnel, _, https = _tunnel(world)
    gateway = tunnel.gateway
    for port in (https, gateway.http, gateway.grpc, gateway.ws):
        for old in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"]):
            done = _handshake(world, port, *old)
            assert "Cipher is (NONE)" in done.stdout and done.returncode != 0, f"{port} {old}: {done.stdout[-300:]}"
        for new in ("-tls1_2", "-tls1_3"):
            done = _handshake(world, port, new)
            assert re.search(r"Cipher is (ECDHE-ECDSA|TLS)_?", done.stdout) and "(NONE)" not in done.stdout, f"{port} {new}: {done.stdout[-500:]}"


def every_port_agrees_on_what_it_speaks(world):
    tunnel, _, https = _tunnel(world)
    gateway = tunnel.gateway
    for port, expected in ((https, "h2"), (gateway.http, "h2"), (gateway.grpc, "h2"), (gateway.ws, "http/1.1")):
        done = _handshake(world, port, "-alpn", "h2,http/1.1")
        same(re.search(r"ALPN protocol: (.*)", done.stdout)[1], expected, f"ALPN on {port}")
    assert "ALPN protocol: http/1.1" in _handshake(world, https, "-alpn", "http/1.1").stdout
    assert _handshake(world, gateway.grpc, "-alpn", "http/1.1").returncode != 0, "HTTP/1.1 on the port of gRPC"


def curl_is_served_over_tls_in_both_versions(world):
    tunnel, authority, https = _tunnel(world, "--redirect-to-https")
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
def certificates_are_exchanged_under_load(world):
    tunnel, authority, https = _tunnel(world)
    stop, failed, served = [], [], []

    def ask():
        while not stop:
            reply = _curl(https, authority)
            served.append(reply.exit)
            if (reply.exit, reply.status) != (0, 200):
                failed.append(f"{reply.exit} {reply.status} {reply.error}")

    asking = [world.background(ask) for _ in range(2)]
    for subject in ("second", "third"):
        authority.usual(subject)
        until(lambda: _subject(world, https, f"myapp.{DOMAIN}") == subject, f"{subject} is shown", 5)
        same(_subject(world, tunnel.gateway.link_port, f"myapp.{DOMAIN}"), subject, "on the agents' port")
    stop.append(True)
    for future in asking:
        future.result(30)
    same(failed, [], f"failures of {len(served)}")
    same(tunnel.gateway.sessions(), 1, "sessions")
    assert tunnel.agent.log().count("online") == 1, "the agent kept its link"
    world.note(f"{len(served)} requests")


def the_name_decides_which_certificate_is_shown(world):
    authority, https = Authority(world), free_port()
    pairs = [authority.usual(), authority.issue("shop", "shop", "DNS:shop.example.org")]
    flags = [part for cert, key in pairs for part in ("--tls-cert", cert, "--tls-key", key)]
    world.gateway(*flags, "--https", f"127.0.0.1:{https}")
    for name, subject in ((f"a.{DOMAIN}", "usual"), ("shop.example.org", "shop"), ("SHOP.example.org", "shop"), ("nobody.example", "usual"), (f"a.b.{DOMAIN}", "usual")):
        same(_subject(world, https, name), subject, name)


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
    assert "WARN" not in agent.log(), agent.log()
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
    same(_subject(world, https, "shop.example.org"), "the service itself", "the certificate")
    same(_subject(world, https, f"myapp.{DOMAIN}"), "usual", "the certificate of another name")
    gateway.nothing_in_flight()
