#!/usr/bin/env python3
"""Runs the real binaries against real clients: every public function of checks_*.py is a check. See README.md."""

import argparse
import importlib
import inspect
import os
import pathlib
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from kit.waiting import Skip  # noqa: E402
from kit.world import World  # noqa: E402

BINARIES = ("gateway-tunnel", "agent-tunnel")


class TookTooLong(BaseException):
    """The check's time is over. Not an Exception: no check may swallow it."""


def main():
    options = parse()
    transports = ("grpc", "ws") if options.transport == "all" else (options.transport,)
    checks = [check for check in discover() if not options.k or any(part in f"{check.__module__}.{check.__name__}" for part in options.k)]
    if options.list:
        for check in checks:
            print(f"{check.__module__}.{check.__name__}")
        return 0
    missing = [name for name in BINARIES if not os.access(options.bin_dir / name, os.X_OK)]
    if missing and not all(hasattr(check, "without_binaries") for check in checks):
        print(f"{', '.join(missing)} not found in {options.bin_dir}: run `cargo build --release` or give --bin-dir", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    count = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    for transport in transports:
        for check in checks:
            if hasattr(check, "once") and transport != transports[0]:
                continue
            label = f"{check.__module__.removeprefix('checks_')}: {sentence(check)}" + (f" [{transport}]" if not hasattr(check, "once") else "")
            outcome, seconds, text = run(check, transport, options)
            count[outcome] += 1
            if outcome == "failed":
                failures.append((label, text))
            word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome]
            print(f"{word} {label}  {seconds:.1f} s" + (f"  ({text.splitlines()[0]})" if text else ""), flush=True)
    for label, text in failures:
        print(f"\n---- {label}\n{text}")
    print(f"\n{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin-dir", type=pathlib.Path, default=HERE.parents[1] / "target" / "release", metavar="DIR",
                        help="where gateway-tunnel and agent-tunnel are (default: target/release)")
    parser.add_argument("--transport", choices=("grpc", "ws", "all"), default="grpc", help="what the agent dials with (default: grpc)")
    parser.add_argument("-k", action="append", metavar="NAME", help="only checks whose module or name contains NAME; repeatable")
    parser.add_argument("--slow", action="store_true", help="full sizes and times: 1 GiB bodies, the default 10 s limit, a minute of SSE")
    parser.add_argument("--list", action="store_true", help="name the checks and end")
    options = parser.parse_args()
    options.bin_dir = options.bin_dir.resolve()
    return options


def discover():
    """All checks, file by file in the order in which they are written."""
    found = []
    for path in sorted(HERE.glob("checks_*.py")):
        module = importlib.import_module(path.stem)
        functions = [value for name, value in vars(module).items()
                     if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")]
        found += sorted(functions, key=lambda function: function.__code__.co_firstlineno)
    return found


def sentence(check):
    return check.__name__.replace("_", " ")


def run(check, transport, options):
    """One check in a world of its own: the outcome, the seconds, and what there is to tell."""
    if hasattr(check, "slow_only") and not options.slow:
        return "skipped", 0.0, "needs --slow"
    if hasattr(check, "grpc_only") and transport != "grpc":
        return "skipped", 0.0, "speaks of gRPC only"
    begin = time.monotonic()
    world = World(options.bin_dir, transport, options.slow)
    signal.signal(signal.SIGALRM, too_long)
    limit = getattr(check, "limit", 60)
    signal.alarm((getattr(check, "slow_limit", None) or limit) if options.slow else limit)
    try:
        check(world)
        panics = world.panics()
        outcome, text = ("failed", "a process panicked: " + "\n".join(panics)) if panics else ("passed", "; ".join(world.notes))
    except Skip as reason:
        outcome, text = "skipped", str(reason)
    except (Exception, TookTooLong) as error:
        outcome, text = "failed", report(error, check, world)
    finally:
        signal.alarm(0)
        world.close()
    return outcome, time.monotonic() - begin, text


def too_long(*_):
    raise TookTooLong("the check took too long")


def report(error, check, world):
    """What failed, where in the check, and the end of every log."""
    place = [frame for frame in traceback.extract_tb(error.__traceback__) if pathlib.Path(frame.filename).parent == HERE]
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    lines = [f"{kind}{error}"]
    lines += [f"  {pathlib.Path(frame.filename).name}:{frame.lineno}: {frame.line}" for frame in place if frame.name != "run"]
    lines += [f"  note: {note}" for note in world.notes]
    for process in world.processes:
        state = "running" if process.running() else f"exited {process.child.returncode}"
        lines.append(f"  {process.name} ({state}): {' '.join(pathlib.Path(process.argv[0]).name if i == 0 else part for i, part in enumerate(process.argv))}")
        lines += [f"    > {line[:240]!r}" for line in process.stdout().splitlines()[-4:]]
        lines += [f"    | {line[:240]}" for line in process.log().splitlines()[-12:]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
