"""What a check is given: gateways, agents and upstreams that are up when they are returned and gone when the check ends."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from .client import Connection, curl
from .metrics import Metrics
from .process import Process, accepts, free_port
from .upstream import Upstream
from .waiting import Skip, until

DOMAIN = "tunnel.test"
CREDENTIAL = re.compile(r"itk_[a-z0-9]{1,32}_[A-Za-z0-9_-]{43}")


class World:
    """One check's surroundings. `transport` is `grpc` or `ws`; `slow` allows sizes and times of a long run."""

    def __init__(self, bin_dir, transport, slow):
        self.bin_dir, self.transport, self.slow = pathlib.Path(bin_dir), transport, slow
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="indranet-real-"))
        self.notes = []
        self.processes = []
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)

    # ---- for the checks

    def note(self, text):
        """A figure to show beside the result."""
        self.notes.append(text)

    def background(self, function, *arguments, **options):
        """Runs a function on another thread, which nobody has to wait for; ask the future for the result."""
        future = concurrent.futures.Future()

        def run():
            try:
                future.set_result(function(*arguments, **options))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def upstream(self, name="upstream", routes=None, port=0):
        upstream = Upstream(name, routes, port)
        self._cleanup.callback(upstream.stop)
        return upstream

    def tool(self, name):
        """The path of one of the two binaries."""
        return self.bin_dir / name

    def start(self, name, argv, env=None, **options):
        """A process that ends with the check at the latest."""
        count = sum(process.name.split(".")[0] == name for process in self.processes)
        process = Process(f"{name}.{count}", argv, self.environment(env), self.folder, **options)
        self.processes.append(process)
        self._cleanup.callback(process.end)
        return process

    def run(self, *argv, env=None, limit=15, **options):
        """A command that ends by itself."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([os.fspath(part) for part in argv], env=self.environment(env), capture_output=True, text=True,
                              timeout=limit, cwd=self.folder, **options)

    def gateway(self, *flags, agents=("myapp",), env=None):
        """A running gateway with a token for each of `agents`."""
        gateway = Gateway(self, flags, env)
        for agent_id in agents:
            gateway.new_token(agent_id)
        return gateway.start()

    def tunnel(self, *gateway_flags, routes=None, agent_id="myapp", env=None, agent_flags=()):
        """Gateway, agent and upstream, joined and ready."""
        upstream = self.upstream(agent_id, routes)
        gateway = self.gateway(*gateway_flags, agents=(agent_id,), env=env)
        return Tunnel(gateway, gateway.agent(upstream.port, agent_id, flags=agent_flags, env=env), upstream)

    # ---- for the runner

    def environment(self, extra=None):
        """Nothing of the caller's but PATH: no proxy, no INDRANET_* variable, no configuration file."""
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "xdg"),
                "LANG": "C.UTF-8", "RUST_BACKTRACE": "1"}
        return base | (extra or {})

    def panics(self):
        """Every line of a log that tells of a panic: there is no check in which one is right."""
        return [f"{process.name}: {line}" for process in self.processes for line in process.log().splitlines()
                if "panicked at" in line]

    def close(self):
        self._cleanup.close()


class Gateway:
    """`gateway-tunnel serve` with every address given; it can be started again on the same ports."""

    def __init__(self, world, flags=(), env=None):
        self.world, self.flags, self.env = world, flags, env
        self.tokens = world.folder / "tokens.toml"
        self.http, self.grpc, self.ws, self.admin = (free_port() for _ in range(4))
        self.credentials = {}
        self.process = None
        self.tls = "--tls-cert" in flags
        self.name = "127.0.0.1"  # the host that agents dial
        self.way = None  # the port that agents dial instead, if something lies in between

    @property
    def url(self):
        """What an agent dials."""
        scheme = f"{self.world.transport}{'s' if self.tls else ''}"
        return f"{scheme}://{self.name}:{self.way or self.link_port}"

    @property
    def link_port(self):
        return {"grpc": self.grpc, "ws": self.ws}[self.world.transport]

    def command(self):
        address = "127.0.0.1:{}".format
        return [self.world.tool("gateway-tunnel"), "serve", "--http", address(self.http), "--grpc", address(self.grpc), "--ws",
                address(self.ws), "--admin", address(self.admin), "--domain", DOMAIN, "--tokens", self.tokens, *self.flags]

    def start(self, wait=True):
        self.process = self.world.start("gateway", self.command(), self.env)
        if wait:
            until(lambda: self.ready() or not self.process.running(), "the gateway is ready", 10)
            if not self.process.running():
                raise AssertionError(f"the gateway exited {self.process.child.returncode}: {self.process.log()[-600:]}")
        return self

    def hand_over(self):
        """A new process on the same ports, which needs `--reuse-port`; once it is ready the old one gets SIGTERM and is returned."""
        heir = self.world.start("gateway", self.command(), self.env)
        # The ports answer in any case, so only the log tells which process is ready.
        until(lambda: "gateway ready" in heir.log() or not heir.running(), "the new gateway is ready", 10)
        assert heir.running(), f"the new gateway exited {heir.child.returncode}: {heir.log()[-600:]}"
        old, self.process = self.process, heir
        old.terminate()
        return old

    def ready(self):
        """Whether /readyz says so and the public port and the agents' port are open."""
        try:
            return self.admin_get("/readyz").status == 200 and accepts(self.http) and accepts(self.link_port)
        except OSError:
            return False

    def admin_get(self, path):
        with Connection(self.admin, timeout=5) as connection:
            connection.request("GET", path, f"127.0.0.1:{self.admin}", [("connection", "close")])
            return connection.response()

    def metrics(self):
        return Metrics(self.admin_get("/metrics").body.decode())

    def new_token(self, agent_id):
        """Runs `token new`; the credential is kept for `agent`."""
        done = self.world.run(self.world.tool("gateway-tunnel"), "token", "new", "--agent-id", agent_id, "--tokens", self.tokens)
        assert done.returncode == 0, f"token new exited {done.returncode}: {done.stderr[-500:]}"
        found = CREDENTIAL.search(done.stdout)
        assert found, f"token new printed no credential: {done.stdout!r}"
        self.credentials[agent_id] = found.group()
        return found.group()

    def agent_command(self, target, agent_id, flags=()):
        return [self.world.tool("agent-tunnel"), "connect", str(target), "--gateway", self.url, "--id", agent_id, *flags]

    def start_agent(self, target, agent_id="myapp", credential=None, flags=(), env=None, **options):
        """`agent-tunnel connect`, without waiting for it. One link, unless a check is about several."""
        own = {"INDRANET_TOKEN": credential or self.credentials[agent_id], "INDRANET_CONNECTIONS": "1"}
        return self.world.start(f"agent-{agent_id}", self.agent_command(target, agent_id, flags), own | (env or {}), **options)

    def agent(self, target, agent_id="myapp", **options):
        """`agent-tunnel connect`, online."""
        agent = self.start_agent(target, agent_id, **options)
        self.wait_online(agent, agent_id)
        return agent

    def wait_online(self, agent, agent_id="myapp", within=10):
        """An agent is online when the gateway no longer answers in its place."""
        until(lambda: self.online(agent_id) or not agent.running(), f"{agent.name} is online", within)
        if not agent.running():
            raise AssertionError(f"{agent.name} exited {agent.child.returncode}: {agent.log()[-600:]}")

    def online(self, agent_id="myapp"):
        """Whether requests for the agent's host reach an agent, whatever its upstream says to them."""
        try:
            with Connection(self.http, timeout=3) as connection:
                connection.request("HEAD", "/online", self.host(agent_id), [("connection", "close")])
                return connection.response("HEAD").header("indranet-error") not in ("agent_not_found", "agent_offline")
        except Exception:  # refused, reset, cut: not yet
            return False

    def host(self, agent_id="myapp"):
        return f"{agent_id}.{DOMAIN}:{self.http}"

    def public_url(self, path="/", agent_id="myapp"):
        return f"http://{self.host(agent_id)}{path}"

    def curl(self, path="/", *arguments, agent_id="myapp", **options):
        return curl(self.public_url(path, agent_id), *arguments, **options)

    def connection(self, **options):
        return Connection(self.http, **options)

    def status_of(self, path="/", agent_id="myapp"):
        """The status of one quick GET, or 0 if there was none."""
        try:
            with Connection(self.http, timeout=3) as connection:
                connection.request("GET", path, self.host(agent_id), [("connection", "close")])
                return connection.response().status
        except Exception:  # refused, reset, cut: all mean "not served"
            return 0

    def nothing_in_flight(self, within=3):
        """Waits for the in-flight gauge to be 0."""
        until(lambda: self.metrics().gauge("in_flight") == 0, "the in-flight gauge is 0", within, every=0.05)

    def sessions(self):
        """How many there are now; a gauge that is not shown yet counts as 0, except for the check that asks for it."""
        metrics = self.metrics()
        return metrics.gauge("sessions") if any("sessions" in name for name in metrics.kinds) else 0


class Tunnel:
    """A gateway, one agent and its upstream."""

    def __init__(self, gateway, agent, upstream):
        self.gateway, self.agent, self.upstream = gateway, agent, upstream
        self.curl, self.connection, self.host = gateway.curl, gateway.connection, gateway.host

    def processes(self):
        """The two processes of the product."""
        return [self.gateway.process, self.agent]


def require(tool):
    """The path of an optional tool, beside this Python, on PATH or among the system's servers."""
    beside = pathlib.Path(sys.executable).parent / tool
    found = str(beside) if beside.exists() else shutil.which(tool) or shutil.which(tool, path="/usr/sbin")
    if not found:
        raise Skip(f"{tool} is not installed")
    return found
