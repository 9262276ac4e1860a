"""What the runner must know about a check beside its name."""


def limit(seconds, slow=None):
    """The check may take this long (default 60 s), or `slow` with --slow."""
    return _marked(limit=seconds, slow_limit=slow)


def slow_only(check):
    """Runs with --slow only."""
    return _marked(slow_only=True)(check)


def once(check):
    """Has nothing to do with the transport: runs once, not once for each."""
    return _marked(once=True)(check)


def grpc_only(check):
    """Speaks of gRPC itself."""
    return _marked(grpc_only=True)(check)


def without_binaries(check):
    """Tests the kit alone."""
    return _marked(once=True, without_binaries=True)(check)


def _marked(**marks):
    def mark(check):
        for name, value in marks.items():
            setattr(check, name, value)
        return check
    return mark
