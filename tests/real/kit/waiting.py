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


def promised(seconds, attempt, what):
    """A promise about time: `attempt()` returns how long it took, which is at most so many seconds, and the better time is returned.
    A machine may stall once: one of two attempts has to keep the promise, and neither may be late by more than 2 s."""
    took = []
    while not took or took[-1] > seconds:
        took.append(attempt())
        assert took[-1] <= seconds + 2, f"{what}: {took[-1]:.2f} s, where {seconds:g} s are promised"
        assert min(took) <= seconds or len(took) < 2, f"{what}: {took[0]:.2f} s, then {took[1]:.2f} s, where {seconds:g} s are promised"
    return took[-1]


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
