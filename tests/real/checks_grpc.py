"""A real gRPC service behind the agent, called by the stock Python client and by grpcurl through the tunnel."""

import importlib.util
import json
import pathlib
import shutil
import sys
import time

from kit.marks import limit
from kit.process import accepts, free_port
from kit.waiting import Skip, same, until
from kit.world import require

KIT = pathlib.Path(__file__).resolve().parent / "kit"


def unary_calls_with_all_their_metadata(world):
    service = _Service(world)
    with service.client() as echo:
        reply, call = echo.Unary.with_call(service.note(text="hello", count=7, data=bytes(range(256))), timeout=10, metadata=(
            ("x-mine", "1"), ("x-mine-bin", b"\x00\x01\xff"), ("x-empty", "")))
        same((reply.text, reply.count, reply.data), ("hello", 7, bytes(range(256))), "the reply")
        first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
        same((first.get("x-first"), first.get("x-first-bin")), ("1", bytes(range(256))), "initial metadata")
        same((last.get("x-last"), last.get("x-last-bin")), ("2", b"\xff\x00"), "trailing metadata")
    seen = service.said("unary")[-1]
    same((seen["metadata"].get("x-mine"), seen["metadata"].get("x-mine-bin"), seen["metadata"].get("x-empty")), ("1", "0001ff", ""), "metadata at the service")
    assert "grpc-python" in seen["metadata"].get("user-agent", ""), seen
    assert seen["remaining"] and 5 < seen["remaining"] <= 10, f"grpc-timeout at the service: {seen['remaining']}"


def streams_of_all_kinds(world):
    service = _Service(world)
    with service.client() as echo:
        same([note.text for note in echo.Download(service.note(count=500), timeout=20)], [str(number) for number in range(500)], "server streaming")
        same([note.count for note in echo.Download(service.note(count=0), timeout=20)], [], "an empty stream")
        reply = echo.Upload((service.note(data=b"x" * 1000) for _ in range(500)), timeout=20)
        same((reply.text, reply.count), ("500000", 500), "client streaming")
        reply = echo.Upload(iter(()), timeout=20)
        same((reply.text, reply.count), ("0", 0), "an empty upload")
        replies = echo.Chat((service.note(text=f"note {number}", count=number) for number in range(300)), timeout=20)
        same([note.count for note in replies], list(range(1, 301)), "both ways")


def a_conversation_goes_turn_by_turn(world):
    """Every message is answered before the next is sent: nothing may wait for more."""
    import queue
    service = _Service(world)
    with service.client() as echo:
        say = queue.Queue()
        replies = echo.Chat(iter(say.get, None), timeout=20)
        slowest = 0
        for number in range(100):
            begin = time.monotonic()
            say.put(service.note(text="abc", count=number))
            same(next(replies).count, number + 1, "the answer")
            slowest = max(slowest, time.monotonic() - begin)
        say.put(None)
        same(list(replies), [], "the end")
        same(replies.code().name, "OK", "status")
        world.note(f"slowest turn {slowest * 1e3:.1f} ms")


@limit(90)
def large_messages_pass_both_ways(world):
    service = _Service(world)
    with service.client() as echo:
        for size in (16384, 65536, 1 << 20, 16 << 20):
            same(len(echo.Unary(service.note(data=b"z" * size), timeout=30).data), size, f"{size} bytes")
        same(sum(len(note.data) for note in echo.Download(service.note(count=64, data=b"y" * (1 << 20)), timeout=40)), 64 << 20, "64 messages of 1 MiB")


def errors_keep_code_message_and_details(world):
    grpc, service = _grpc(), _Service(world)
    with service.client() as echo:
        try:
            echo.Unary(service.note(text="fail"), timeout=10)
            raise AssertionError("the call did not fail")
        except grpc.RpcError as error:
            same((error.code().name, error.details()), ("FAILED_PRECONDITION", "no: caf\xe9 100% \U0001f980"), "status")
            last = dict(error.trailing_metadata())
            same((last.get("x-why"), last.get("x-why-bin"), last.get("grpc-status-details-bin")),
                 ("asked for", b"\x00\xff\x01", b"\x08\x09\x12\x05gone!"), "trailing metadata")
        replies, got = echo.Download(service.note(text="fail at the end", count=3), timeout=10), []
        try:
            for note in replies:
                got.append(note.count)
        except grpc.RpcError as error:
            same(error.code().name, "DATA_LOSS", "status behind messages")
        same(got, [0, 1, 2], "messages before the error")
        unknown = echo.channel.unary_unary("/indranet.test.Echo/Nothing")
        try:
            unknown(b"", timeout=10)
        except grpc.RpcError as error:
            same(error.code().name, "UNIMPLEMENTED", "an unknown method")


def a_deadline_ends_the_call_on_both_sides(world):
    grpc, service = _grpc(), _Service(world)
    with service.client() as echo:
        begin = time.monotonic()
        try:
            echo.Unary(service.note(text="hang"), timeout=1)
            raise AssertionError("the call did not fail")
        except grpc.RpcError as error:
            same(error.code().name, "DEADLINE_EXCEEDED", "status")
        took = time.monotonic() - begin
        assert 0.8 < took < 4, f"after {took:.2f} s"
        until(lambda: any(said["call"] == "hang" for said in service.said("ended")), "the service sees the end", 4)
        same(echo.Unary(service.note(text="again"), timeout=5).text, "again", "the next call")


def a_cancelled_call_is_cancelled_at_the_service(world):
    service = _Service(world)
    with service.client() as echo:
        replies = echo.Download(service.note(text="endless"), timeout=30)
        for _ in range(5):
            next(replies)
        begin = time.monotonic()
        replies.cancel()
        until(lambda: any(said["call"] == "download" for said in service.said("ended")), "the service sees the end of a stream", 3)
        waiting = echo.Unary.future(service.note(text="hang"), timeout=30)
        until(lambda: [said for said in service.said("unary") if said["text"] == "hang"], "the service has the call")
        waiting.cancel()
        until(lambda: any(said["call"] == "hang" for said in service.said("ended")), "the service sees the end of a call", 3)
        world.note(f"both within {time.monotonic() - begin:.2f} s")
        same(echo.Unary(service.note(text="again"), timeout=5).text, "again", "the next call")
    service.gateway.nothing_in_flight()


@limit(90)
def many_calls_at_once(world):
    service = _Service(world)
    with service.client() as echo:
        calls = [echo.Unary.future(service.note(count=number), timeout=30) for number in range(1000)]
        same([call.result().count for call in calls], list(range(1000)), "replies")
    service.gateway.nothing_in_flight()


def grpcurl_calls_the_service(world):
    grpcurl = require("grpcurl")
    service = _Service(world)

    def call(method, given, *more):
        return world.run(grpcurl, "-plaintext", "-import-path", KIT, "-proto", "echo.proto", "-authority", service.gateway.host(), *more, "-d", given,
                         f"127.0.0.1:{service.gateway.http}", f"indranet.test.Echo/{method}", limit=20)

    done = call("Unary", '{"text": "hello", "count": 3}', "-v", "-H", "x-mine: 1")
    same(done.returncode, 0, f"exit ({done.stderr})")
    assert '"text": "hello"' in done.stdout and "x-first: 1" in done.stdout and "x-last: 2" in done.stdout, done.stdout
    same(service.said("unary")[-1]["metadata"].get("x-mine"), "1", "metadata at the service")
    same(call("Download", '{"count": 20}').stdout.count('"text"'), 20, "messages of a server stream")
    done = call("Upload", '{"data": "eHg="} {"data": "eXl5"}')
    same(json.loads(done.stdout or "{}"), {"text": "5", "count": 2}, f"client stream ({done.stderr})")
    same(call("Chat", '{"text": "ab"} {"text": "cd"}').stdout.count('"text"'), 2, "messages both ways")
    done = call("Unary", '{"text": "fail"}')
    # grpcurl shows what the details say, where there are any.
    assert "Code: FailedPrecondition" in done.stderr and "Message: gone!" in done.stderr, done.stderr
    done = call("Unary", '{"text": "hang"}', "-max-time", "1")
    assert "Code: DeadlineExceeded" in done.stderr, done.stderr


def what_the_gateway_says_itself_has_the_right_code(world):
    """docs/protocol.md: 404 is NOT_FOUND, 502 and 503 are UNAVAILABLE, 504 is DEADLINE_EXCEEDED."""
    grpc = _grpc()
    service = _Service(world, "--response-timeout", "2s")

    def code(authority, text="x"):
        with service.client(authority) as echo:
            try:
                echo.Unary(service.note(text=text), timeout=20)
                return "OK"
            except grpc.RpcError as error:
                assert dict(error.trailing_metadata() or ()).get("indranet-error") or dict(error.initial_metadata() or ()).get("indranet-error") \
                    or error.code().name == "OK", f"no indranet-error in {error}"
                return error.code().name

    same(code(service.gateway.host("nobody")), "NOT_FOUND", "an unknown agent")
    same(code(None, "hang"), "DEADLINE_EXCEEDED", "a silent service")
    until(lambda: any(said["call"] == "hang" for said in service.said("ended")), "the silent call is cancelled at the service", 3)
    service.process.kill()
    same(code(None), "UNAVAILABLE", "a service that is down")
    service.agent.terminate()
    until(lambda: service.gateway.sessions() == 0, "the agent is gone")
    same(code(None), "NOT_FOUND", "an agent that is away")


def a_service_that_dies_within_a_call_is_an_error(world):
    grpc, service = _grpc(), _Service(world)
    with service.client() as echo:
        replies = echo.Download(service.note(text="endless"), timeout=20)
        next(replies)
        service.process.kill()
        try:
            for _ in replies:
                pass
            raise AssertionError("the stream ended cleanly")
        except grpc.RpcError as error:
            assert error.code().name in ("UNAVAILABLE", "INTERNAL", "CANCELLED", "UNKNOWN"), error.code()
            world.note(error.code().name)
    service.gateway.nothing_in_flight()


def auto_serves_http1_and_grpc_side_by_side(world):
    """`--upstream-protocol auto`: HTTP/1.1 for pages, HTTP/2 for gRPC, on one port, which haproxy makes out of two services."""
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not haproxy:
        raise Skip("haproxy is not installed")
    pages = world.upstream("pages")
    one = free_port()

    def joined(port):
        config = world.folder / "haproxy.cfg"
        config.write_text(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
            f"frontend front\n  bind 127.0.0.1:{one}\n  use_backend grpc if {{ req.hdr(content-type) -m beg application/grpc }}\n  default_backend pages\n"
            f"backend grpc\n  server one 127.0.0.1:{port} proto h2\nbackend pages\n  server one 127.0.0.1:{pages.port}\n")
        process = world.start("haproxy", [haproxy, "-db", "-f", config])
        until(lambda: accepts(one) or not process.running(), "haproxy listens")
        assert process.running(), process.log()
        return one

    service = _Service(world, target=("auto",), before=joined)
    with service.client() as echo:
        for number in range(5):
            same(echo.Unary(service.note(text="auto"), timeout=10).text, "auto", "gRPC")
            same(service.gateway.curl("/").body, b"hello from pages\n", "a page")
            same([note.count for note in echo.Download(service.note(count=5), timeout=10)], list(range(5)), "a stream")
        same(pages.last("/").version, "HTTP/1.1", "what the pages were asked in")


class _Service:
    """The service, an agent that speaks HTTP/2 to it, and a gateway."""

    def __init__(self, world, *gateway_flags, target=("h2c",), before=int):
        _grpc()
        for module in ("grpc_tools", "google.protobuf"):
            if importlib.util.find_spec(module) is None:
                raise Skip(f"the Python package {module} is not installed")
        told = world.run(world.tool("agent-tunnel"), "connect", "--help").stdout
        if "--upstream-protocol" not in told:
            raise Skip("this agent has no --upstream-protocol: it speaks HTTP/1.1 to services")
        made = world.run(sys.executable, "-m", "grpc_tools.protoc", f"-I{KIT}", f"--python_out={world.folder}", f"--grpc_python_out={world.folder}", KIT / "echo.proto")
        same(made.returncode, 0, f"protoc ({made.stderr})")
        self.folder = str(world.folder)
        port = free_port()
        self.process = world.start("grpc-service", [sys.executable, KIT / "grpc_service.py", self.folder, str(port)])
        until(lambda: self.said("ready") or not self.process.running(), "the service is ready", 15)
        assert self.process.running(), self.process.log()
        until(lambda: accepts(port), "the service listens")
        self.gateway = world.gateway(*gateway_flags)
        if target == ("h2c",):
            self.agent = self.gateway.agent(f"h2c://127.0.0.1:{port}")
        else:
            self.agent = self.gateway.agent(before(port), flags=("--upstream-protocol", *target))

    def said(self, what):
        lines = [json.loads(line) for line in self.process.stdout().splitlines() if line.endswith("}")]
        return [line for line in lines if line["what"] == what]

    def note(self, **fields):
        return self._module("echo_pb2").Note(**fields)

    def client(self, authority=None):
        return _Client(self, authority or self.gateway.host())

    def _module(self, name):
        """Compiled once for all checks of a run: protobuf keeps one description of a file in a process."""
        if name not in sys.modules:
            sys.path.insert(0, self.folder)
            try:
                importlib.import_module(name)
            finally:
                sys.path.remove(self.folder)
        return sys.modules[name]


class _Client:
    def __init__(self, service, authority):
        self.channel = _grpc().insecure_channel(f"127.0.0.1:{service.gateway.http}", options=[
            ("grpc.default_authority", authority), ("grpc.max_receive_message_length", 32 << 20), ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1)])
        service._module("echo_pb2")
        stub = service._module("echo_pb2_grpc").EchoStub(self.channel)
        self.Unary, self.Upload, self.Download, self.Chat = stub.Unary, stub.Upload, stub.Download, stub.Chat

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def _grpc():
    if importlib.util.find_spec("grpc") is None:
        raise Skip("the Python package grpcio is not installed")
    import grpc
    return grpc
