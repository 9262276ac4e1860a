"""Small GETs on keep-alive connections, in a process of its own: `load.py PORT HOST PATH CLIENTS SECONDS` prints JSON."""

import json
import pathlib
import subprocess
import sys
import threading
import time

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from kit.client import Connection, Truncated
from kit.waiting import percentile


def load(port, host, path, clients, seconds):
    """Runs this file as a process of its own and returns what it measured."""
    command = [sys.executable, __file__, str(port), host, path, str(clients), str(seconds)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=seconds + 30).stdout)


def main(port, host, path, clients, seconds):
    latencies, errors = [], []
    end = time.monotonic() + float(seconds)

    def client():
        try:
            with Connection(int(port)) as connection:
                while (begin := time.monotonic()) < end:
                    connection.request("GET", path, host)
                    reply = connection.response()
                    if reply.status != 200:
                        errors.append(str(reply.status))
                    latencies.append(time.monotonic() - begin)
        except (OSError, Truncated) as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(int(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {"requests": len(latencies), "errors": errors[:5], "per_second": len(latencies) / float(seconds)}
    if latencies:
        told |= {"p50_ms": percentile(latencies, 0.5) * 1e3, "p99_ms": percentile(latencies, 0.99) * 1e3}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
