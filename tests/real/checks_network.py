"""What stands between agent and gateway in real networks: proxies, nginx, ports that are closed or that swallow; and an
agent that somebody else wrote."""

import importlib.util
import pathlib
import socket
import sys
import time

from kit.data import blocks
from kit.marks import limit, once, slow_only
from kit.process import free_port
from kit.proxies import ConnectProxy, SocksProxy, listening
from kit.waiting import Skip, same, until
from kit.world import require

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "python-agent" / "agent.py"


@limit(40)
def an_agent_gets_through_nginx(world):
    """The proxy's defaults, but for the size of a request body: the frames of a link are one to it."""
    through = _nginx_in_front(world)
    for _ in range(20):
        same(through.curl("/hello").status, 200, "status")
    body = b"".join(blocks(3 << 20))
    same(through.curl("/echo", "--data-binary", "@-", data=body).body, body, "what comes back")


@slow_only
@limit(60, slow=420)
def an_agent_behind_nginx_survives_five_idle_minutes(world):
    through = _nginx_in_front(world)
    before = through.agent.log().count("online")
    time.sleep(300)  # the thing itself: five times the proxy's time-out
    same(through.curl("/hello").status, 200, "status")
    same(through.agent.log().count("online"), before, "times that the agent connected")


@once
@limit(60)
def an_agent_behind_a_connect_proxy_falls_back_and_moves_up(world):
    """Only the WebSocket port is allowed at first. Once the other is, the agent moves without one failed request."""
    upstream = world.upstream("myapp", {"/hello": lambda exchange: exchange.respond(200, body=b"hello")})
    gateway = world.gateway()
    proxy = ConnectProxy(allowed={gateway.ws})
    begun = time.monotonic()
    agent = world.start("agent-myapp", [
        world.tool("agent-tunnel"), "connect", str(upstream.port), "--id", "myapp",
        "--gateway", f"grpc://127.0.0.1:{gateway.grpc}", "--gateway", f"ws://127.0.0.1:{gateway.ws}",
    ], {"INDRANET_TOKEN": gateway.credentials["myapp"], "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
    gateway.wait_online(agent)
    took = time.monotonic() - begun
    assert took < 5, f"online after {took:.1f} s"
    until(lambda: _transports(gateway) == {"grpc": 0, "ws": 2}, "both links fall back")
    assert "403" in agent.log() and f"ws://127.0.0.1:{gateway.ws}" in agent.log(), f"it does not say why: {agent.log()}"

    proxy.allowed.add(gateway.grpc)
    failures, asked = [], 0
    deadline = time.monotonic() + 40
    while _transports(gateway) != {"grpc": 2, "ws": 0}:
        assert time.monotonic() < deadline, f"it does not move up: {agent.log()}"
        with gateway.connection() as connection:
            for _ in range(50):
                connection.request("GET", "/hello", "myapp.tunnel.test", [])
                asked += 1
                status = connection.response().status
                if status != 200:
                    failures.append(status)
    same(failures, [], f"failures among {asked} requests")
    world.note(f"online after {took:.2f} s, moved up within {asked} requests")


@once
@limit(30)
def a_swallowed_port_costs_less_than_five_seconds(world):
    """Something accepts the connection and never answers."""
    upstream = world.upstream("myapp", {})
    gateway = world.gateway()
    with socket.create_server(("127.0.0.1", 0)) as hole:
        begun = time.monotonic()
        agent = world.start("agent-myapp", [
            world.tool("agent-tunnel"), "connect", str(upstream.port), "--id", "myapp",
            "--gateway", f"grpc://127.0.0.1:{hole.getsockname()[1]}", "--gateway", f"ws://127.0.0.1:{gateway.ws}",
        ], {"INDRANET_TOKEN": gateway.credentials["myapp"]})
        gateway.wait_online(agent)
        took = time.monotonic() - begun
        assert took < 5, f"online after {took:.1f} s"
        assert "does not answer" in agent.log(), f"it does not say why: {agent.log()}"


def proxies_ask_for_credentials_and_get_them(world):
    gateway = world.gateway()
    upstream = world.upstream("myapp", {})
    http, socks = ConnectProxy(credentials="ann:s3cret"), SocksProxy(user=b"ann", password=b"s3cret")
    refused = gateway.start_agent(upstream.port, flags=("--proxy", f"http://127.0.0.1:{http.port}", "--max-retries", "0"))
    same(refused.exit_code(10), 69, "exit without credentials")
    assert "407" in refused.log(), f"it does not say that the proxy wants credentials: {refused.log()}"
    for proxy in (f"http://ann:s3cret@127.0.0.1:{http.port}", f"socks5://ann:s3cret@127.0.0.1:{socks.port}"):
        agent = gateway.agent(upstream.port, flags=("--proxy", proxy))
        assert "s3cret" not in agent.log(), "the log tells the proxy's password"
        agent.terminate()
        until(lambda: gateway.sessions() == 0, "the session ends")
    same((http.tunnels, socks.tunnels), (1, 1), "tunnels made")


@limit(60)
def an_agent_written_in_python_from_the_protocol_page_serves_requests(world):
    if world.transport != "ws":
        raise Skip("speaks WebSocket")
    for module in ("websockets", "google.protobuf", "grpc_tools"):
        if importlib.util.find_spec(module) is None:
            raise Skip(f"the Python package {module} is not installed")
    upstream = world.upstream("myapp", {"/hello": lambda exchange: exchange.respond(200, body=b"hello")})
    gateway = world.gateway()
    agent = world.start("agent-python", [
        sys.executable, EXAMPLE, str(upstream.port), "--gateway", gateway.url, "--id", "myapp",
    ], {"INDRANET_TOKEN": gateway.credentials["myapp"]})
    gateway.wait_online(agent, within=20)
    same(gateway.curl("/hello").body, b"hello", "body")
    body = b"".join(blocks(2 << 20))
    same(gateway.curl("/echo", "--data-binary", "@-", data=body).body, body, "what comes back")


# ---- what stands in between

class _Through:
    def __init__(self, gateway, agent):
        self.gateway, self.agent = gateway, agent

    def curl(self, path, *arguments, **options):
        return self.gateway.curl(path, *arguments, **options)


def _nginx_in_front(world):
    nginx = require("nginx")
    upstream = world.upstream("myapp", {"/hello": lambda exchange: exchange.respond(200, body=b"hello")})
    gateway = world.gateway()
    port = free_port()
    if world.transport == "ws":
        listen, place = f"127.0.0.1:{port}", (
            f"proxy_pass http://127.0.0.1:{gateway.ws}; proxy_http_version 1.1;"
            " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;")
    else:
        listen, place = f"127.0.0.1:{port} http2", f"grpc_pass grpc://127.0.0.1:{gateway.grpc}; client_max_body_size 0;"
    folder = world.folder
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "front.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/front.pid; error_log stderr warn; events {{ }}\n"
        f"http {{ access_log off; {temporary} server {{ listen {listen}; location / {{ {place} }} }} }}\n")
    listening(world, "nginx", [nginx, "-p", folder, "-c", config], port)
    agent = world.start("agent-myapp", [
        world.tool("agent-tunnel"), "connect", str(upstream.port), "--id", "myapp", "--gateway", f"{world.transport}://127.0.0.1:{port}",
    ], {"INDRANET_TOKEN": gateway.credentials["myapp"]})
    gateway.wait_online(agent)
    return _Through(gateway, agent)


def _transports(gateway):
    metrics = gateway.metrics()
    return {transport: metrics.total("indranet_sessions", transport=transport) for transport in ("grpc", "ws")}
