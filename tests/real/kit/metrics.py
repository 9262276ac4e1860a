"""Prometheus text, as far as a check needs it."""

import re

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")


class Metrics:
    """One scrape."""

    def __init__(self, text):
        self.kinds, self.samples = {}, []
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()[:4]
                self.kinds[name] = kind
            elif match := _SAMPLE.match(line):
                self.samples.append((match[1], dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")), float(match[3])))

    def gauge(self, part, **labels):
        """The sum of the one gauge whose name contains `part`."""
        names = [name for name, kind in self.kinds.items() if kind == "gauge" and part in name]
        assert len(names) == 1, f"one gauge was expected with {part!r} in its name, found {names}"
        return self.total(names[0], **labels)

    def total(self, name, **labels):
        """The sum over the samples of this name with these labels."""
        return sum(value for sample, having, value in self.samples
                   if sample == name and all(having.get(label) == wanted for label, wanted in labels.items()))
