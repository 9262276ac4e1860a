"""Several links of one agent: how they survive, and what the agent tells of them."""

import contextlib
import json
import signal
import socket
import threading
import time

from kit.client import Connection
from kit.load import load
from kit.marks import limit
from kit.process import free_port
from kit.waiting import same, until

TWO = {"INDRANET_CONNECTIONS": "2"}


@limit(90)
def a_proxy_that_cuts_links_at_a_fixed_age_costs_no_request_once_the_age_is_known(world):
    upstream = world.upstream()
    gateway = world.gateway()
    with contextlib.closing(Cutter(gateway.link_port, age=6)) as cutter:
        agent = world.start("agent-myapp", [world.tool("agent-tunnel"), "connect", str(upstream.port), "--id", "myapp", "--gateway",
                                            f"{world.transport}://127.0.0.1:{cutter.port}"],
                            TWO | {"INDRANET_TOKEN": gateway.credentials["myapp"]})
        gateway.wait_online(agent)
        until(lambda: "links are cut at this age" in agent.log(), "the age is learned", 25)
        told = load(gateway.http, gateway.host(), "/", 4, 20)
        same(told["errors"], [], f"errors among {told['requests']} requests")
        rotated = agent.log().count("replaced by a younger one")
        assert rotated >= 4, f"only {rotated} links were replaced in 20 s"
        world.note(f"{told['requests']} requests, {rotated} links replaced")


def status_tells_how_the_agents_of_this_user_are(world):
    runtime = world.folder / "run"
    runtime.mkdir()
    env = TWO | {"XDG_RUNTIME_DIR": str(runtime)}
    tool = world.tool("agent-tunnel")
    nobody = world.run(tool, "status", env=env)
    same(nobody.returncode, 69, "exit without an agent")
    tunnel = world.tunnel(env=env)
    until(lambda: tunnel.gateway.sessions() == 2, "both links are there")
    same(tunnel.curl("/").status, 200, "a request")

    def ask():
        done = world.run(tool, "status", "--json", env=env)
        return done.returncode, json.loads(done.stdout)

    code, agents = until(lambda: (found := ask())[0] == 0 and sum(link["served"] for link in found[1][0]["links"]) and found, "status")
    same((code, len(agents), agents[0]["id"]), (0, 1, "myapp"), "agents")
    same([(link["number"], link["transport"]) for link in agents[0]["links"]], [(0, world.transport), (1, world.transport)], "links")
    tunnel.gateway.process.kill()
    until(lambda: ask()[0] == 69, "an agent without a link is a 69")
    tunnel.agent.signal(signal.SIGHUP)
    tunnel.gateway.start()
    until(lambda: ask()[0] == 0, "the agent has a link again", 5)
    tunnel.agent.terminate()
    same(tunnel.agent.exit_code(5), 0, "exit after SIGTERM")
    same(list((runtime / "indranet").iterdir()), [], "sockets that are left")


def an_agent_whose_service_is_ill_says_so(world):
    health = [200]
    upstream = world.upstream(routes={"/up": lambda exchange: exchange.respond(health[0])})
    gateway, admin = world.gateway(), free_port()
    flags = ("--health-check", "/up", "--health-interval", "200ms", "--admin", f"127.0.0.1:{admin}")
    agent = gateway.agent(upstream.port, flags=flags, env=TWO)

    def ready():
        with Connection(admin, timeout=5) as connection:
            connection.request("GET", "/readyz", "agent", [("connection", "close")])
            return connection.response().status

    until(lambda: ready() == 200, "the agent is ready")
    health[0] = 503
    until(lambda: ready() == 503, "the agent is not ready")
    until(lambda: "cannot be asked" in gateway.process.log(), "the gateway knows")
    health[0] = 302
    until(lambda: ready() == 200, "the agent is ready again")
    until(lambda: gateway.status_of("/") == 200, "requests succeed")
    assert agent.running(), "the agent ended"


class Cutter:
    """A way to a port of this host that resets every connection at a fixed age, as some proxies do."""

    def __init__(self, target, age):
        self.target, self.age = target, age
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()
            threading.Thread(target=self._cut, args=(near, far), daemon=True).start()

    def _cut(self, *ends):
        time.sleep(self.age)
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it ended before its time


def _copy(source, target):
    try:
        while octets := source.recv(65536):
            target.sendall(octets)
    except OSError:
        pass  # cut
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # both directions end with the first
