"""Command lines, exit codes, `dev`, and the admin port."""

import json
import re

from kit.client import curl
from kit.marks import limit, once
from kit.process import accepts, free_port
from kit.waiting import same, until
from kit.world import DOMAIN

USAGE, UNREACHABLE, REFUSED, CONFIGURATION = 2, 69, 77, 78


@once
def both_binaries_explain_themselves(world):
    for tool, words in (("gateway-tunnel", ("serve", "dev", "token")), ("agent-tunnel", ("connect", "sign"))):
        done = world.run(world.tool(tool), "--help")
        same(done.returncode, 0, f"{tool} --help")
        for word in words:
            assert re.search(rf"^\s+{word}\b", done.stdout, re.M), f"{tool} --help does not name {word}"
        same(world.run(world.tool(tool), "--version").returncode, 0, f"{tool} --version")
    for tool, command, flags in (("gateway-tunnel", "serve", ("--http", "--grpc", "--ws", "--admin", "--domain", "--tokens", "--response-timeout", "--config")),
                                 ("agent-tunnel", "connect", ("--gateway", "--id", "--max-retries"))):
        text = world.run(world.tool(tool), command, "--help").stdout
        for flag in flags:
            assert flag in text, f"{tool} {command} --help does not name {flag}"
            if flag != "--config" or "INDRANET_CONFIG" in text:
                variable = "INDRANET_" + flag[2:].upper().replace("-", "_")
                assert variable in text, f"{tool} {command} --help does not name {variable}"


@once
def a_wrong_command_line_exits_2(world):
    for tool, *arguments in (("gateway-tunnel",), ("gateway-tunnel", "fly"), ("gateway-tunnel", "serve", "--no-such-flag"),
                             ("gateway-tunnel", "serve", "--http", "not-an-address"), ("agent-tunnel",),
                             ("agent-tunnel", "connect", "3000", "--no-such-flag"), ("agent-tunnel", "connect", "3000", "4000")):
        done = world.run(world.tool(tool), *arguments)
        same(done.returncode, USAGE, f"{tool} {' '.join(arguments)} ({done.stderr[-200:]})")
        same(done.stdout, "", "standard output")
        assert done.stderr.strip(), "no word about the reason"


def a_gateway_that_cannot_be_reached_exits_69_after_max_retries(world):
    gateway = world.gateway()
    gateway.process.kill()
    agent = gateway.start_agent(9, flags=("--max-retries", "1"))
    same(agent.exit_code(10), UNREACHABLE, f"exit ({agent.log()[-300:]})")
    assert str(gateway.link_port) in agent.log(), f"the address that was tried is not named: {agent.log()}"


@once
def a_refused_agent_exits_77(world):
    gateway = world.gateway()
    right = gateway.credentials["myapp"]
    agent = gateway.start_agent(9, credential="itk_nobody_" + right[-43:], flags=("--max-retries", "5"))
    same(agent.exit_code(5), REFUSED, f"exit ({agent.log()[-300:]})")


@once
def a_wrong_configuration_exits_78_and_says_where(world):
    config = world.folder / "config.toml"
    token = {"INDRANET_TOKEN": "itk_abc_" + "A" * 43}
    address = f"127.0.0.1:{free_port()}"
    cases = [
        ("an unknown key", "no_such_key = 1\n"), ("a wrong type", "domain = 7\n"), ("no TOML", "this is [ no TOML\n"),
    ]
    for name, text in cases:
        config.write_text(text)
        for tool, arguments, env in (("gateway-tunnel", ("serve", "--http", address), {}), ("agent-tunnel", ("connect", "3000"), token)):
            if tool == "agent-tunnel" and name == "a wrong type":
                config.write_text("gateway = 7\n")
            done = world.run(world.tool(tool), *arguments, "--config", config, env=env, limit=5)
            same(done.returncode, CONFIGURATION, f"{tool} with {name} ({done.stderr[-300:]})")
            assert "config.toml" in done.stderr, f"{tool} with {name}: the file is not named: {done.stderr}"
    missing = world.run(world.tool("gateway-tunnel"), "serve", "--config", world.folder / "none.toml", limit=5)
    same(missing.returncode, CONFIGURATION, f"a missing configuration file ({missing.stderr[-200:]})")


@once
def a_missing_or_malformed_token_is_a_configuration_error(world):
    for name, env in (("no token", {}), ("an empty token", {"INDRANET_TOKEN": ""}), ("a malformed token", {"INDRANET_TOKEN": "hunter2-5ecret"})):
        done = world.run(world.tool("agent-tunnel"), "connect", "3000", "--gateway", f"grpc://127.0.0.1:{free_port()}", "--id", "myapp", env=env, limit=5)
        same(done.returncode, CONFIGURATION, f"{name} ({done.stderr[-300:]})")
        assert "hunter2" not in done.stderr + done.stdout, "a malformed token is repeated"
        assert "INDRANET_TOKEN" in done.stderr, f"{name}: the remedy is not named: {done.stderr}"


@once
def what_is_missing_for_a_start_is_said(world):
    """Usage or configuration, for a file could have supplied it; but never a start with a guess."""
    for tool, *arguments in (("gateway-tunnel", "serve"), ("gateway-tunnel", "serve", "--domain", DOMAIN), ("agent-tunnel", "connect")):
        done = world.run(world.tool(tool), *arguments, env={"INDRANET_TOKEN": "itk_abc_" + "A" * 43}, limit=5)
        assert done.returncode in (USAGE, CONFIGURATION), f"{tool} {' '.join(arguments)}: exit {done.returncode} ({done.stderr[-200:]})"
        assert done.stderr.strip(), "no word about the reason"


@once
def a_malformed_gateway_url_or_target_is_refused_before_anything_is_dialled(world):
    token = {"INDRANET_TOKEN": "itk_abc_" + "A" * 43}
    for target, url in (("3000", "gopher://127.0.0.1:1"), ("3000", "grpc://"), ("99999", "grpc://127.0.0.1:1"), ("ftp://127.0.0.1/", "grpc://127.0.0.1:1")):
        done = world.run(world.tool("agent-tunnel"), "connect", target, "--gateway", url, "--id", "myapp", env=token, limit=5)
        assert done.returncode in (USAGE, CONFIGURATION), f"connect {target} --gateway {url}: exit {done.returncode} ({done.stderr[-200:]})"


@once
def a_port_that_is_taken_is_named(world):
    gateway = world.gateway()
    second = world.run(*gateway.command(), limit=5)
    assert second.returncode not in (0, USAGE), f"exit {second.returncode}"
    assert any(str(port) in second.stderr for port in (gateway.http, gateway.grpc, gateway.ws, gateway.admin)), f"which port? {second.stderr[-300:]}"
    world.note(f"exit {second.returncode}")
    same(gateway.status_of("/"), 404, "the first gateway serves on")


def settings_come_from_the_environment_and_the_file_too(world):
    """flag > environment > file"""
    upstream = world.upstream()
    gateway = world.gateway(agents=("fromenv", "fromfile"))
    config = world.folder / "agent.toml"
    config.write_text(f'gateway = ["{gateway.url}"]\nid = "fromfile"\n')
    agent = world.start("agent", [world.tool("agent-tunnel"), "connect", str(upstream.port), "--config", config],
                        {"INDRANET_TOKEN": gateway.credentials["fromfile"]})
    gateway.wait_online(agent, "fromfile")
    same(gateway.status_of("/", "fromfile"), 200, "an agent set up by file")
    agent = world.start("agent", [world.tool("agent-tunnel"), "connect", str(upstream.port), "--config", config],
                        {"INDRANET_TOKEN": gateway.credentials["fromenv"], "INDRANET_ID": "fromenv", "INDRANET_GATEWAY": gateway.url})
    gateway.wait_online(agent, "fromenv")
    same(gateway.status_of("/", "fromenv"), 200, "an agent whose environment overrides the file")


@once
def a_gateway_is_set_up_by_its_environment_alone(world):
    ports = {name: free_port() for name in ("HTTP", "GRPC", "WS", "ADMIN")}
    tokens = world.folder / "tokens"
    world.run(world.tool("gateway-tunnel"), "token", "new", "--agent-id", "myapp", "--tokens", tokens)
    env = {f"INDRANET_{name}": f"127.0.0.1:{port}" for name, port in ports.items()} | {"INDRANET_DOMAIN": DOMAIN, "INDRANET_TOKENS": str(tokens)}
    process = world.start("gateway", [world.tool("gateway-tunnel"), "serve"], env)
    until(lambda: all(map(accepts, (ports["HTTP"], ports["GRPC"], ports["ADMIN"]))) or not process.running(), "the ports are open")
    assert process.running(), process.log()


@once
def several_domains_are_served(world):
    upstream = world.upstream()
    gateway = world.gateway("--domain", "second.example")
    gateway.agent(upstream.port)
    for host in ("myapp.tunnel.test", "myapp.second.example"):
        same(gateway.curl("/", "-H", f"Host: {host}").status, 200, host)
    same(gateway.curl("/", "-H", "Host: myapp.third.example").status, 404, "another domain")


@limit(90)
@once
def dev_check_passes(world):
    for tls in ((), ("--tls", "--https", f"127.0.0.1:{free_port()}")):
        ports = [free_port() for _ in range(4)]
        flags = [part for name, port in zip(("--http", "--grpc", "--ws", "--admin"), ports) for part in (name, f"127.0.0.1:{port}")]
        done = world.run(world.tool("gateway-tunnel"), "dev", "--check", *tls, *flags, limit=60)
        same(done.returncode, 0, f"exit ({done.stdout[-300:]} {done.stderr[-500:]})")
        assert "grpc" in (done.stdout + done.stderr).lower(), "the transports are not named"
        world.note(" | ".join(line.strip() for line in done.stdout.splitlines()[-3:]))


@limit(90)
@once
def dev_is_a_whole_tunnel_with_a_sample_service(world):
    ports = [free_port() for _ in range(4)]
    flags = [part for name, port in zip(("--http", "--grpc", "--ws", "--admin"), ports) for part in (name, f"127.0.0.1:{port}")]
    process = world.start("dev", [world.tool("gateway-tunnel"), "dev", *flags])

    def urls():
        return re.findall(rf"http://[a-z0-9-]+\.[a-z.]+:{ports[0]}", process.stdout() + process.log())

    url = until(lambda: urls() or not process.running(), "dev prints a public URL", 15)[0]
    until(lambda: curl(url + "/").status == 200, "the page is there", 5)
    page = curl(url + "/")
    assert b"<html" in page.body.lower() and (page.header("content-type") or "").startswith("text/html"), "an HTML page"
    same(curl(url + "/echo", "--data-binary", "hello").status, 200, "/echo")
    assert b"hello" in curl(url + "/echo", "--data-binary", "hello").body, "/echo"
    assert b"data:" in curl(url + "/sse", "--max-time", "3").body, "/sse"
    same(curl(url + "/slow", limit=15).status, 200, "/slow")
    same(curl(url + "/big", "--range", "0-9", limit=15).exit, 0, "/big")
    lines = [line.strip() for line in (process.stdout() + process.log()).splitlines()]
    assert any("agent-tunnel connect" in line for line in lines), "the line that joins one's own service is not printed"
    process.terminate()
    same(process.exit_code(10), 0, "exit after SIGTERM")


@once
def dev_binds_loopback_only(world):
    done = world.run(world.tool("gateway-tunnel"), "dev", "--check", "--http", f"0.0.0.0:{free_port()}", "--grpc", f"127.0.0.1:{free_port()}",
                     "--ws", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}", limit=20)
    assert done.returncode != 0, "dev bound an address that others can reach"


def the_admin_port_tells_health_readiness_and_metrics(world):
    tunnel = world.tunnel()
    gateway = tunnel.gateway
    same((gateway.admin_get("/healthz").status, gateway.admin_get("/readyz").status, gateway.admin_get("/nothing").status), (200, 200, 404), "statuses")
    for _ in range(3):
        tunnel.curl("/")
    tunnel.curl("/echo", "--data-binary", "12345")
    tunnel.curl("/", "-H", "Host: nobody.tunnel.test")
    reply = gateway.admin_get("/metrics")
    assert (reply.header("content-type") or "").startswith(("text/plain", "application/openmetrics-text")), reply.header("content-type")
    metrics = gateway.metrics()
    same((metrics.gauge("sessions"), metrics.gauge("sessions", transport=world.transport), metrics.gauge("in_flight")), (1, 1, 0), "gauges")
    counters = [name for name, kind in metrics.kinds.items() if kind == "counter"]
    histograms = [name for name, kind in metrics.kinds.items() if kind == "histogram"]
    assert any("request" in name for name in counters) and any("bytes" in name for name in counters), f"counters: {counters}"
    assert any("duration" in name or "seconds" in name for name in histograms), f"histograms: {histograms}"
    world.note(json.dumps(sorted(metrics.kinds)))


@once
def the_gauges_are_0_before_anything_happened(world):
    metrics = world.gateway().metrics()
    same((metrics.gauge("in_flight"), metrics.gauge("sessions")), (0, 0), "gauges")


def requests_in_flight_are_counted_while_they_last(world):
    def hold(exchange):
        exchange.closed_by_peer(30)

    tunnel = world.tunnel(routes={"/hold": hold})
    held = [tunnel.connection() for _ in range(5)]
    for connection in held:
        connection.request("GET", "/hold", tunnel.host())
    until(lambda: tunnel.gateway.metrics().gauge("in_flight") == 5, "the gauge shows five")
    for connection in held:
        connection.close()
    tunnel.gateway.nothing_in_flight()
