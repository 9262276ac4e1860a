"""TLS for checks: an authority of their own, and what openssl sees of a port."""

import re

from .process import free_port
from .waiting import same, until
from .world import DOMAIN, require

OPENSSL = {"OPENSSL_CONF": "/dev/null"}  # or the distribution's file decides which versions it offers


class Authority:
    """Certificates that one check makes for itself, by openssl."""

    def __init__(self, world, name="ca"):
        self.world, self.openssl, self.name = world, require("openssl"), name
        self.ca = world.folder / f"{name}.pem"
        self._make("req", "-x509", *self._key(name), "-out", self.ca, "-days", "2", "-subj", "/CN=checks", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name, subject, *names, rsa=False):
        """The files of a certificate and its key; what was there is replaced, the key first."""
        folder = self.world.folder
        cert, key, request, extensions = (folder / f"{name}.{kind}" for kind in ("pem", "key", "csr", "ext"))
        self._make("req", *self._key(name, rsa), "-out", request, "-subj", f"/CN={subject}")
        extensions.write_text("basicConstraints=CA:FALSE\n" + (f"subjectAltName={','.join(names)}\n" if names else ""))
        self._make("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", folder / f"{self.name}.key", "-days", "2", "-out", cert, "-extfile", extensions)
        return cert, key

    def usual(self, subject="usual"):
        return self.issue("usual", subject, f"DNS:*.{DOMAIN}", "IP:127.0.0.1")

    def _key(self, name, rsa=False):
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        return ["-newkey", *kind, "-nodes", "-keyout", self.world.folder / f"{name}.key"]

    def _make(self, *arguments):
        done = self.world.run(self.openssl, *arguments)
        same(done.returncode, 0, f"openssl {arguments[0]} ({done.stderr[-300:]})")


def secure_tunnel(world, *flags, agent_flags=(), **options):
    """A tunnel with TLS everywhere, its authority, and the port for https."""
    authority, https = Authority(world), free_port()
    cert, key = authority.usual()
    tunnel = world.tunnel("--tls-cert", cert, "--tls-key", key, "--https", f"127.0.0.1:{https}", *flags,
                          agent_flags=["--ca-file", authority.ca, *agent_flags], **options)
    # A redirect would look like an answer of the service.
    until(lambda: tunnel.agent.stdout(), "the agent shows its URL", 10)
    return tunnel, authority, https


def handshake(world, port, *arguments):
    """`openssl s_client` until the handshake is over."""
    return world.run(require("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *arguments, env=OPENSSL)


def subject(world, port, name, *arguments):
    """Whose certificate is shown to who asks for `name`."""
    return re.search(r"subject=CN ?= ?(.*)", handshake(world, port, "-servername", name, *arguments).stdout)[1]
