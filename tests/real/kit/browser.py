"""Headless Chromium, with a home of its own in the folder of the check."""

import json
import shutil

from .waiting import Skip, same
from .world import require

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-dev-shm-usage", "--no-default-browser-check")


def chromium():
    """The path of the browser, whatever it is called here."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        raise Skip("chromium is not installed")
    return found


def browse(world, url, *flags):
    """The browser on a page, until the check ends."""
    return world.start("chromium", [chromium(), *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={world.folder / 'profile'}", *flags, url])


def trust(world, authority):
    """Makes the browser believe an authority as a user does: in the certificate store of this home."""
    store = world.folder / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for command in (["-N", "--empty-password"], ["-A", "-n", "checks", "-t", "C,,", "-i", authority.ca]):
        done = world.run(require("certutil"), "-d", f"sql:{store}", *command)
        same(done.returncode, 0, f"certutil {command[0]} ({done.stderr[-300:]})")


class NetLog:
    """What the browser itself says of its connections. The file is written as it goes, so its end may be missing."""

    def __init__(self, world):
        self.path = world.folder / "net-log.json"
        self.flag = f"--log-net-log={self.path}"

    def events(self, kind):
        """The parameters of every event of a kind."""
        head, _, rest = self.path.read_text(errors="replace").partition('\n"events": [')
        number = json.loads(head.rstrip().rstrip(",") + "}")["constants"]["logEventTypes"][kind]
        lines = (line.rstrip().rstrip(",").removesuffix("]") for line in rest.splitlines())
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue  # an empty line, or the one that is being written
            if event.get("type") == number:
                found.append(event.get("params", {}))
        return found

    def headers(self, kind="HTTP2_SESSION_SEND_HEADERS"):
        """The fields of each head, as a dictionary."""
        return [dict(field.split(": ", 1) for field in event.get("headers", ())) for event in self.events(kind)]
