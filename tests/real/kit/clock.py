"""A clock that is wrong for one process alone, by libfaketime. Only what people call the time is moved, not timers."""

import pathlib
import time

from .waiting import Skip


class WrongClock:
    """`env` is for the process; `set` moves its clock while it runs."""

    def __init__(self, world, seconds):
        found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not found:
            raise Skip("libfaketime is not installed")
        self._file = world.folder / f"clock{len(world.processes)}"
        self.set(seconds)
        self.env = {"LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                    "DONT_FAKE_MONOTONIC": "1"}

    def date(self):
        """The day that the process sees, in UTC."""
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() + self._seconds))

    def set(self, seconds):
        """So far from the real time; negative is behind."""
        self._seconds = seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)  # never half written
