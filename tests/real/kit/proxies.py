"""What stands between an agent and its gateway: proxies by hand, and the real ones."""

import base64
import socket
import threading

from .process import accepts, free_port
from .waiting import until
from .world import require


def listening(world, name, command, port):
    """Starts a proxy and returns its port once it is open."""
    process = world.start(name, command)
    until(lambda: accepts(port) or not process.running(), f"{name} listens")
    assert process.running(), f"{name} exited: {process.log()}"
    return port


def tinyproxy(world):
    """The real tinyproxy, which makes tunnels to any port; returns its port."""
    port, config = free_port(), world.folder / "tinyproxy.conf"
    config.write_text(f"Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\nLogLevel Connect\nPidFile \"{world.folder}/tinyproxy.pid\"\n")
    return listening(world, "tinyproxy", [require("tinyproxy"), "-d", "-c", config], port)


def interceptor(world, target, cert, key, alpn):
    """haproxy that ends TLS with a certificate of its own and opens another connection to `target`: it sees everything."""
    port, both = free_port(), world.folder / "interceptor-cert.pem"
    both.write_text(cert.read_text() + key.read_text())
    config = world.folder / "interceptor.cfg"
    config.write_text(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"listen interceptor\n  bind 127.0.0.1:{port} ssl crt {both} alpn {alpn}\n"
        f"  server gateway 127.0.0.1:{target} ssl verify none alpn {alpn}\n")
    return listening(world, "haproxy", [require("haproxy"), "-db", "-f", config], port)


class Server:
    """Accepts connections on a port of its own, each on a thread that ends with it. It finds `names` itself, as a proxy in a
    network does whose machines know no names of the world; `tunnels` and `targets` tell what it made."""

    def __init__(self, names=()):
        self.names = dict(names)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.tunnels, self.targets = 0, []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                target = self.negotiate(client)
                if target:
                    host, port = target
                    with socket.create_connection((self.names.get(host, host), port)) as server:
                        self.granted(client)
                        self.tunnels += 1
                        self.targets.append(target)
                        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                        back.start()
                        _copy(client, server)
                        back.join()
            except OSError:
                pass


class ConnectProxy(Server):
    """An HTTP proxy that makes tunnels to `allowed` ports (any if None) for those who know `credentials`."""

    def __init__(self, allowed=None, credentials=None, names=()):
        self.allowed, self.credentials = allowed, credentials
        super().__init__(names)

    def negotiate(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return None
            head += piece
        line, *fields = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        wanted = self.credentials and "Basic " + base64.b64encode(self.credentials.encode()).decode()
        given = dict(field.lower().split(": ", 1) for field in fields if ": " in field).get("proxy-authorization", "")
        host, port = target.rsplit(":", 1)
        if method != "CONNECT":
            return self._refuse(client, "405 Method Not Allowed")
        if wanted and given != wanted.lower():
            return self._refuse(client, "407 Proxy Authentication Required")
        if self.allowed is not None and int(port) not in self.allowed:
            return self._refuse(client, "403 Forbidden")
        return host, int(port)

    def _refuse(self, client, status):
        client.sendall(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())

    def granted(self, client):
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")


class SocksProxy(Server):
    """SOCKS5 with a user name and password (RFC 1928, RFC 1929)."""

    def __init__(self, user, password, names=()):
        self.user, self.password = user, password
        super().__init__(names)

    def negotiate(self, client):
        methods = _exactly(client, _exactly(client, 2)[1])
        if 2 not in methods:
            client.sendall(b"\x05\xff")
            return None
        client.sendall(b"\x05\x02")
        user = _exactly(client, _exactly(client, 2)[1])
        password = _exactly(client, _exactly(client, 1)[0])
        right = (user, password) == (self.user, self.password)
        client.sendall(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            return None
        kind = _exactly(client, 4)[3]
        if kind == 1:
            host = socket.inet_ntoa(_exactly(client, 4))
        else:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        return host, int.from_bytes(_exactly(client, 2), "big")

    def granted(self, client):
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")


def _exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise OSError("the connection ended")
        data += piece
    return data


def _copy(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, target):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
