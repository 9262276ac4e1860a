"""Child processes on free ports, and what /proc knows about them."""

import os
import pathlib
import pty
import signal
import socket
import subprocess
import threading
import time

from .waiting import until


def free_port():
    """A TCP port of loopback on which nothing listens, and which was not given out before."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


_given = set()


def accepts(port):
    """Whether something listens on the port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """One process of ours: its output goes to files, or with `terminal` to a terminal, and only it is ever signalled."""

    def __init__(self, name, argv, env, folder, stdin=subprocess.DEVNULL, terminal=False):
        self.name = name
        self.argv = [os.fspath(part) for part in argv]
        self.stdout_path = pathlib.Path(folder) / f"{name}.stdout"
        self.stderr_path = pathlib.Path(folder) / f"{name}.stderr"
        self.started = time.monotonic()
        with open(self.stdout_path, "wb") as stdout, open(self.stderr_path, "wb") as stderr:
            if terminal:
                master, slave = pty.openpty()
                self.child = subprocess.Popen(self.argv, env=env, stdin=slave, stdout=slave, stderr=slave, cwd=folder)
                os.close(slave)
                threading.Thread(target=self._record, args=(master,), daemon=True).start()
            else:
                self.child = subprocess.Popen(self.argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder)
        self.pid = self.child.pid

    def _record(self, master):
        """What a terminal shows goes to the file for standard output."""
        with open(self.stdout_path, "ab", buffering=0) as screen:
            try:
                while shown := os.read(master, 65536):
                    screen.write(shown)
            except OSError:
                pass  # the process is gone
            os.close(master)

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def log(self):
        return self.stderr_path.read_text(errors="replace")

    def running(self):
        return self.child.poll() is None

    def exit_code(self, within=10.0):
        """Waits for the process to end by itself."""
        until(lambda: not self.running(), f"{self.name} exits", within)
        return self.child.returncode

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def kill(self):
        """kill -9, and wait for it."""
        self.signal(signal.SIGKILL)
        self.child.wait(10)

    def freeze(self):
        """The peer sees a link on which nothing moves any more, with the socket still open."""
        self.signal(signal.SIGSTOP)
        until(lambda: self._status("State").startswith("T"), f"{self.name} is stopped")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def end(self):
        """Clean-up after a check, whatever state the process is in."""
        if self.running():
            self.thaw()
            self.kill()

    def rss(self):
        """Resident memory now, in bytes."""
        return self._kib("VmRSS")

    def peak_rss(self):
        """Most resident memory since the start or since `forget_peak`, in bytes, as the kernel counted it."""
        return self._kib("VmHWM")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def connections_to(self, port):
        """Local ports of this process's established TCP connections to `port` of loopback."""
        inodes = set()
        for entry in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        return {local for local, remote, inode in established() if remote == port and inode in inodes}

    def _kib(self, field):
        return int(self._status(field).split()[0]) * 1024

    def _status(self, field):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
        raise AssertionError(f"{self.name} has no {field}: it is gone")


def established():
    """(local port, remote port, inode) of every established TCP connection."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            field = line.split()
            if field[3] == "01":
                rows.append((int(field[1].rsplit(":", 1)[1], 16), int(field[2].rsplit(":", 1)[1], 16), field[9]))
    return rows
