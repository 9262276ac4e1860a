"""What checks of survival need: a load whose every answer is checked, and a network that fails as it is told."""

import json
import select
import socket
import subprocess
import threading
import time

from .waiting import Skip, until

CHAOS = "chaos"


def chaos(world):
    """The path of the load generator, which is built with the product and is no part of it."""
    path = world.tool(CHAOS)
    if not path.exists():
        raise Skip(f"{path} is not there: run `cargo build --release`")
    return path


class Service:
    """The service that a load asks for, in a process of its own."""

    def __init__(self, world):
        self.process = world.start("service", [chaos(world), "service"], stdin=subprocess.PIPE)
        until(lambda: self.process.stdout().endswith("\n") or not self.process.running(), "the service listens")
        self.port = int(self.process.stdout().strip().rsplit(":", 1)[1])


class Load:
    """Requests at a fixed rate from now until `end`. Of 20 requests so many are streams of 5 s, uploads of 1 s and so on."""

    def __init__(self, world, gateway, rate=200, streams=2, uploads=2, leavers=0, slow=0, agents=("myapp",)):
        hosts = [part for agent in agents for part in ("--host", gateway.host(agent))]
        self.began = time.monotonic()
        self.process = world.start("load", [
            chaos(world), "load", "--addr", f"127.0.0.1:{gateway.http}", *hosts, "--rate", str(rate), "--streams", str(streams),
            "--uploads", str(uploads), "--leavers", str(leavers), "--slow", str(slow),
        ], stdin=subprocess.PIPE)

    def end(self, within=30):
        """Begins no more requests, waits for all of them, and returns what became of them."""
        self.process.child.stdin.close()
        code = self.process.exit_code(within)
        assert code == 0, f"the load exited {code}: {self.process.log()[-500:]}"
        told = json.loads(self.process.stdout())
        assert told["asked"] == told["ended"] > 0, f"requests without an outcome: {told}"
        return told


class Network:
    """A way to a port of loopback. Connections can be cut, held (nothing passes, and both sides stay open) and limited in age."""

    def __init__(self, port, cut_after=None):
        self.target, self.cut_after = port, cut_after
        self.made, self.cuts = 0, 0
        self._lines, self._lock = [], threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lines(self):
        """Connections that are open, the oldest first."""
        with self._lock:
            self._lines = [line for line in self._lines if not line.over]
            return list(self._lines)

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        except OSError:
            pass
        self._listener.close()
        for line in self.lines():
            line.cut()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                near.close()  # nobody is there: the network says so
                continue
            line = Line(self, near, far)
            with self._lock:
                self._lines.append(line)
                self.made += 1
            threading.Thread(target=line.carry, daemon=True).start()


class Line:
    """One connection through a network, carried by one thread."""

    def __init__(self, network, near, far):
        self.network, self.born = network, time.monotonic()
        self.held, self.over = False, False
        self._ends = {near: far, far: near}
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(10)

    def hold(self):
        """From now on nothing passes, and nobody is told."""
        self.held = True

    def cut(self):
        """Both sides see the connection end."""
        self.over = True
        for end in self._ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def carry(self):
        reading = list(self._ends)
        try:
            while reading and not self.over:
                ready, _, _ = select.select([] if self.held else reading, [], [], 0.05)
                if self.network.cut_after and time.monotonic() - self.born > self.network.cut_after:
                    self.network.cuts += 1
                    return
                for end in () if self.held else ready:
                    if piece := end.recv(65536):
                        self._ends[end].sendall(piece)
                    else:
                        reading.remove(end)
                        self._ends[end].shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one side is gone, and so is the line
        finally:
            self.cut()
            for end in self._ends:
                end.close()
