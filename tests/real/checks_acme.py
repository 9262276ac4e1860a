"""Certificates from pebble, the test server of Let's Encrypt: both challenges, a cache, an account elsewhere, an authority that is away."""

import json
import re

from kit.client import curl
from kit.marks import limit
from kit.process import accepts, free_port
from kit.tls import Authority, handshake as _handshake
from kit.waiting import same, until
from kit.world import DOMAIN, Gateway, require

HOST = f"myapp.{DOMAIN}"


class Pebble:
    """An authority that finds every name on loopback, on the ports of one gateway."""

    def __init__(self, world, http, https, **more):
        self.world, self.port, self.manage = world, free_port(), free_port()
        self.authority = Authority(world)
        cert, key = self.authority.issue("pebble", "pebble", "IP:127.0.0.1")
        address = "127.0.0.1:{}".format
        self.config = world.folder / "pebble.json"
        self.config.write_text(json.dumps({"pebble": {
            "listenAddress": address(self.port), "managementListenAddress": address(self.manage), "certificate": str(cert),
            "privateKey": str(key), "httpPort": http, "tlsPort": https, **more}}))
        self.dns = free_port()
        world.start("names", [require("pebble-challtestsrv"), "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1", "-dns01", address(self.dns),
                              "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", address(free_port())])
        self.start()

    def start(self):
        self.process = self.world.start("pebble", [require("pebble"), "-strict", "-config", self.config, "-dnsserver", f"127.0.0.1:{self.dns}"],
                                        {"PEBBLE_VA_NOSLEEP": "1"})
        until(lambda: accepts(self.port) and accepts(self.manage), "pebble listens", 10)

    def issued(self):
        return len(re.findall("Issued certificate", self.process.stdout() + self.process.log()))

    def root(self):
        """The file with the authority's certificate, which is another one at each start."""
        path = self.world.folder / "root.pem"
        path.write_bytes(curl(f"https://127.0.0.1:{self.manage}/roots/0", "--cacert", self.authority.ca).body)
        return path


def _scene(world, *flags, **more):
    """A gateway that is not started yet, and where it orders from."""
    require("pebble")
    gateway, https = Gateway(world), free_port()
    gateway.new_token("myapp")
    pebble = Pebble(world, gateway.http, https, **more)
    gateway.flags = ("--https", f"127.0.0.1:{https}", "--agents-tls=false", "--acme-domain", HOST, "--acme-agree-tos", "--acme-contact",
                     "mailto:ops@example.com", "--acme-cache", world.folder / "cache", "--acme-directory", f"https://127.0.0.1:{pebble.port}/dir",
                     "--acme-ca-file", pebble.authority.ca, *flags)
    return gateway, pebble, https


def _is_served(world, gateway, pebble, https):
    upstream = world.upstream("myapp")
    gateway.agent(upstream.port)
    root = pebble.root()
    until(lambda: curl(f"https://{HOST}:{https}/", "--cacert", root).status == 200, "curl trusts the certificate", 20)


def _comes_by(world, challenge):
    gateway, pebble, https = _scene(world, "--acme-challenge", challenge)
    gateway.start()
    done = _handshake(world, https, "-servername", HOST)
    assert pebble.issued() or "alert access denied" in done.stderr, f"before there is a certificate: {done.stderr[-300:]}"
    _is_served(world, gateway, pebble, https)
    return gateway, pebble, https


@limit(60)
def a_certificate_comes_by_a_handshake(world):
    gateway, pebble, https = _comes_by(world, "tls-alpn-01")
    assert "acme_challenge" not in gateway.process.log()
    # A gateway that starts with the cache asks for nothing.
    gateway.process.end()
    gateway.start()
    _is_served(world, gateway, pebble, https)
    same(pebble.issued(), 1, "certificates that were issued")
    assert "ordering" not in gateway.process.log()


@limit(60)
def a_certificate_comes_by_a_request(world):
    gateway, _, _ = _comes_by(world, "http-01")
    assert "acme_challenge" in gateway.process.log()
    for path in (world.folder / "cache").rglob("*"):
        same(oct(path.stat().st_mode & 0o777), "0o700" if path.is_dir() else "0o600", f"who may read {path.name}")


@limit(60)
def another_way_is_tried_where_one_leads_elsewhere(world):
    gateway, pebble, https = _scene(world)
    elsewhere = free_port()
    gateway.flags = tuple(f"127.0.0.1:{elsewhere}" if flag == f"127.0.0.1:{https}" else flag for flag in gateway.flags)
    gateway.start()
    _is_served(world, gateway, pebble, elsewhere)
    assert "trying another way" in gateway.process.log()


@limit(60)
def an_account_elsewhere_is_asked_for_and_bound(world):
    key = world.folder / "eab"
    key.write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I\n")
    key.chmod(0o600)
    gateway, pebble, https = _scene(world, externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": key.read_text().strip()})
    plain = gateway.flags
    gateway.start()
    until(lambda: "no new certificate" in gateway.process.log(), "the log says so", 10)
    log = gateway.process.log()
    assert "--acme-eab-kid" in log and "externalAccountRequired" in log, log[-600:]
    gateway.process.end()
    gateway.flags = (*plain, "--acme-eab-kid", "kid-1", "--acme-eab-key-file", key)
    gateway.start()
    _is_served(world, gateway, pebble, https)
    assert key.read_text().strip() not in gateway.process.log(), "the key is in the log"


@limit(60)
def an_authority_that_is_away_is_named_and_left_alone(world):
    gateway, pebble, https = _scene(world)
    pebble.process.end()
    gateway.start()
    until(lambda: "no new certificate" in gateway.process.log(), "the log says so", 10)
    log = gateway.process.log()
    assert f"cannot ask https://127.0.0.1:{pebble.port}/dir" in log, log[-600:]
    assert "alert access denied" in _handshake(world, https, "-servername", HOST).stderr
    same(log.count("ordering a certificate"), 1, "attempts")
