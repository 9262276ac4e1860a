"""The gateway as a person with grpcurl sees it, and an agent typed by hand, as the README tells it."""

import json

from kit.client import curl
from kit.grpcurl import TypedAttach, base64_of, grpcurl
from kit.marks import grpc_only
from kit.waiting import same, until
from kit.wire import ask

TUNNEL = "indranet.tunnel.v1.Tunnel"
HEALTH = "grpc.health.v1.Health/Check"


@grpc_only
def grpcurl_lists_the_services(world):
    listed = grpcurl(world, world.gateway(), "list")
    same(listed.returncode, 0, f"exit ({listed.stderr})")
    services = listed.stdout.split()
    for service in (TUNNEL, "grpc.health.v1.Health"):
        assert service in services, f"{service} is missing in {services}"


@grpc_only
def reflection_answers_in_both_of_its_versions(world):
    """grpcurl 1.8.6 asks v1alpha only; newer tools ask v1 first."""
    gateway = world.gateway()
    for version in ("v1alpha", "v1"):
        answer = ask(gateway.grpc, f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", b"\x3a\x00")  # list_services: ""
        assert TUNNEL.encode() in answer, f"{version}: {answer!r}"


@grpc_only
def grpcurl_describes_the_tunnel(world):
    gateway = world.gateway()
    described = grpcurl(world, gateway, "describe", TUNNEL).stdout
    assert "rpc Attach ( stream .indranet.tunnel.v1.AgentFrame ) returns ( stream .indranet.tunnel.v1.GatewayFrame );" in described, described
    for message in ("ConnectRequest", "TunnelRequest", "ConnectError"):
        described = grpcurl(world, gateway, "describe", f"indranet.tunnel.v1.{message}").stdout
        assert f"message {message}" in described, described


@grpc_only
def the_health_check_says_serving(world):
    gateway = world.gateway()
    checked = grpcurl(world, gateway, HEALTH)
    same((checked.returncode, json.loads(checked.stdout or "{}")), (0, {"status": "SERVING"}), f"the whole server ({checked.stderr})")
    named = grpcurl(world, gateway, HEALTH, data={"service": TUNNEL})
    same((named.returncode, json.loads(named.stdout or "{}")), (0, {"status": "SERVING"}), f"the tunnel service ({named.stderr})")
    unknown = grpcurl(world, gateway, HEALTH, data={"service": "no.such"})
    assert "NotFound" in unknown.stderr, unknown.stderr


@grpc_only
def an_agent_typed_by_hand_answers_a_request(world):
    gateway = world.gateway()
    typed = TypedAttach(world, gateway)
    typed.type(_signed(world, gateway))
    accepted = typed.next("accepted")
    same(accepted["publicUrls"], [f"http://{gateway.host()}"], "public URLs")
    waiting = world.background(curl, gateway.public_url("/by-hand?x=1"))
    request = typed.next("request")
    same((request["method"], request["path"], request["endStream"]), ("GET", "/by-hand?x=1", True), "the request")
    typed.type({"response": {"id": request["id"], "status": 200, "headers": [{"name": "content-type", "value": base64_of("text/plain")}],
                             "body": base64_of("typed by hand\n"), "endStream": True}})
    reply = waiting.result(10)
    same((reply.status, reply.body, reply.header("content-type")), (200, b"typed by hand\n", "text/plain"), "what curl got")
    same(reply.header("x-request-id"), request["id"], "the request id")
    typed.end_of_input()
    until(lambda: gateway.sessions() == 0, "the session ends with the input", 5)


@grpc_only
def a_signed_request_works_once(world):
    gateway = world.gateway()
    frame = _signed(world, gateway)
    first, second = TypedAttach(world, gateway), TypedAttach(world, gateway)
    first.type(frame)
    first.next("accepted")
    second.type(frame)
    same(second.next("error")["code"], "CODE_REPLAYED", "code")
    second.end_of_input()
    assert second.process.exit_code(5) != 0, "grpcurl exited 0 after a ConnectError"
    assert "Code:" in second.process.log(), f"no gRPC status: {second.process.log()}"
    world.note(second.process.log().split("Code:")[1].split()[0])


@grpc_only
def sign_prints_a_connect_request_without_the_secret(world):
    gateway = world.gateway()
    text = json.dumps(_signed(world, gateway))
    assert gateway.credentials["myapp"][-43:] not in text, "the secret is printed"
    for field in ("agentId", "token", "timestamp", "nonce", "signature"):
        assert f'"{field}"' in text, f"{field} is missing in {text}"


def _signed(world, gateway):
    """`agent-tunnel sign`, as the first frame of a link."""
    done = world.run(world.tool("agent-tunnel"), "sign", "--gateway", f"grpc://127.0.0.1:{gateway.grpc}", "--id", "myapp",
                     env={"INDRANET_TOKEN": gateway.credentials["myapp"]})
    same(done.returncode, 0, f"exit of sign ({done.stderr[-400:]})")
    printed = json.loads(done.stdout)
    return printed if "connect" in printed else {"connect": printed}
