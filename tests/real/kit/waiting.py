"""Bounded waiting, and the few ways in which a check can end."""

import time


class Skip(Exception):
    """The check cannot run here; the text says why."""


def until(condition, what, within=5.0, every=0.01):
    """Polls until `condition()` is true and returns its value; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(every)


def seconds_until(condition, what, within=5.0):
    """Like `until`, but returns how long it took."""
    begin = time.monotonic()
    until(condition, what, within)
    return time.monotonic() - begin


def same(actual, expected, what):
    """Fails with both values unless they are equal."""
    if actual != expected:
        raise AssertionError(f"{what}: expected {_short(expected)}, got {_short(actual)}")


def within(value, low, high, what):
    """Fails unless low <= value <= high."""
    if not low <= value <= high:
        raise AssertionError(f"{what}: expected {low:g} to {high:g}, got {value:.4g}")


def percentile(values, share):
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _short(value):
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}... ({len(text)} characters)"
