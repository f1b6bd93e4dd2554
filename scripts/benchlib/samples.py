"""The raw figures of a run: one line for each figure of each round of each server."""

import csv
import statistics
from collections import defaultdict
from dataclasses import astuple, dataclass, fields

# Unit and meaning of each figure stand in docs/performance.md.
RATE, CPU, P50, P99, P999, PSS = "requests/s", "CPU us/request", "p50 us", "p99 us", "p99.9 us", "PSS MiB"
GRID_FIGURES = (RATE, CPU, P50, P99, P999, PSS)


@dataclass(frozen=True)
class Cell:
    """What was measured: a case, and under which circumstances."""

    case: str
    mode: str = ""
    concurrency: int = 0

    def __str__(self):
        return " ".join(str(part) for part in (self.case, self.mode, self.concurrency or "") if part != "")


@dataclass
class Sample:
    case: str
    mode: str
    concurrency: int
    round: int
    server: str
    figure: str
    value: float


class Samples:
    """All figures so far. They are written as they come, so that a run that is interrupted leaves what it has."""

    def __init__(self, path):
        self.rows = []
        self.out = path.open("w", newline="")
        self.writer = csv.writer(self.out)
        self.writer.writerow(field.name for field in fields(Sample))

    def add(self, cell, number, server, **figures):
        for figure, value in figures.items():
            self.put(cell, number, server, figure, value)

    def put(self, cell, number, server, figure, value):
        row = Sample(cell.case, cell.mode, cell.concurrency, number, server, figure, value)
        self.rows.append(row)
        self.writer.writerow(astuple(row))
        self.out.flush()

    def cells(self):
        """In the order in which they were measured."""
        return list(dict.fromkeys(Cell(r.case, r.mode, r.concurrency) for r in self.rows))

    def figures(self, cell):
        return list(dict.fromkeys(r.figure for r in self.rows if Cell(r.case, r.mode, r.concurrency) == cell))

    def values(self, cell, server, figure):
        """By round."""
        return {
            r.round: r.value
            for r in self.rows
            if Cell(r.case, r.mode, r.concurrency) == cell and r.server == server and r.figure == figure
        }

    def median(self, cell, server, figure):
        values = self.values(cell, server, figure).values()
        return statistics.median(values) if values else None

    def ratios(self, cell, server, against, figure):
        """Of the rounds in which both were measured."""
        mine, theirs = self.values(cell, server, figure), self.values(cell, against, figure)
        return [mine[n] / theirs[n] for n in mine if theirs.get(n)]

    def ratio(self, cell, server, against, figure):
        """Median of the rounds' ratios; None where one of the two was not measured."""
        ratios = self.ratios(cell, server, against, figure)
        return statistics.median(ratios) if ratios else None

    def spread(self, cell, server, figure):
        """How far a server's own rounds lie apart, as a part of their median."""
        values = list(self.values(cell, server, figure).values())
        middle = statistics.median(values) if values else 0
        return (max(values) - min(values)) / middle if middle else 0.0
