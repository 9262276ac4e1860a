"""A gRPC service in a process of its own: `grpc_service.py FOLDER PORT` with the modules compiled from echo.proto in FOLDER.

It writes what it sees as lines of JSON to standard output. What a call does stands in `text`.
"""

import concurrent.futures
import json
import sys
import time

import grpc


def main(folder, port):
    sys.path.insert(0, folder)
    import echo_pb2
    import echo_pb2_grpc

    class Echo(echo_pb2_grpc.EchoServicer):
        def Unary(self, note, context):
            told = {key: value if isinstance(value, str) else value.hex() for key, value in context.invocation_metadata()}
            say("unary", text=note.text, metadata=told, remaining=context.time_remaining() if context.time_remaining() and context.time_remaining() < 1e6 else None)
            if note.text == "fail":
                context.set_trailing_metadata((("x-why", "asked for"), ("x-why-bin", b"\x00\xff\x01"), ("grpc-status-details-bin", b"\x08\x09\x12\x05gone!")))
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: caf\xe9 100% \U0001f980")
            if note.text == "hang":
                context.add_callback(lambda: say("ended", call="hang"))
                while context.is_active():
                    time.sleep(0.01)
                return echo_pb2.Note()
            context.send_initial_metadata((("x-first", "1"), ("x-first-bin", bytes(range(256)))))
            context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\xff\x00")))
            return note

        def Upload(self, notes, context):
            count = size = 0
            for note in notes:
                count, size = count + 1, size + len(note.data)
            say("upload", count=count)
            return echo_pb2.Note(text=str(size), count=count)

        def Download(self, note, context):
            context.add_callback(lambda: say("ended", call="download", text=note.text))
            number = 0
            while number < note.count or note.text == "endless":
                if note.text == "endless":
                    if not context.is_active():
                        return
                    time.sleep(0.005)
                yield echo_pb2.Note(text=str(number), count=number, data=note.data)
                number += 1
            if note.text == "fail at the end":
                context.abort(grpc.StatusCode.DATA_LOSS, "lost")

        def Chat(self, notes, context):
            context.add_callback(lambda: say("ended", call="chat"))
            for note in notes:
                yield echo_pb2.Note(text=note.text[::-1], count=note.count + 1, data=note.data)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", 32 << 20), ("grpc.so_reuseport", 0)])
    echo_pb2_grpc.add_EchoServicer_to_server(Echo(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    say("ready")
    server.wait_for_termination()


def say(what, **more):
    print(json.dumps({"what": what} | more), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
