"""What php-ftm is meant to reach, and whether it did."""

import statistics
from dataclasses import dataclass

from . import beside, burst, grid, reload, samples, waiting
from .subjects import FPM, FTM, NTS


@dataclass
class Goal:
    """A limit for a figure, or for its ratio to another server's, in each measured cell that `cells` takes."""

    cases: tuple
    figure: str
    limit: float
    against: str = FPM
    at_least: bool = False
    concurrency: int = 0

    def __str__(self):
        sign = "≥" if self.at_least else "≤"
        where = ", ".join(self.cases) + (f" at {self.concurrency}" if self.concurrency else "")
        return f"{where}: {self.figure} {sign} {self.limit:g}" + (f" × {self.against}" if self.against else "")

    def takes(self, cell):
        return cell.case in self.cases and (not self.concurrency or cell.concurrency == self.concurrency)

    def met_by(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def rounds(self, found, cell):
        """Its value in each round."""
        if self.against:
            return found.ratios(cell, FTM, self.against, self.figure)
        return list(found.values(cell, FTM, self.figure).values())

    def measured(self, found):
        """Cell and median of each cell, the worst first."""
        rounds = {cell: self.rounds(found, cell) for cell in found.cells() if self.takes(cell)}
        values = [(cell, statistics.median(values)) for cell, values in rounds.items() if values]
        return sorted(values, key=lambda pair: pair[1], reverse=not self.at_least)


GOALS = (
    Goal(("hello",), samples.CPU, 0.55, concurrency=16),
    Goal(("hello",), samples.CPU, 0.65, NTS, concurrency=16),
    Goal(("hello",), samples.RATE, 1.30, at_least=True, concurrency=16),
    Goal(("mid",), samples.CPU, 0.90),
    Goal(("mid",), samples.CPU, 1.03, NTS),
    Goal(("cpu",), samples.CPU, 0.90),
    Goal(("cpu",), samples.CPU, 1.03, NTS),
    Goal(("big",), samples.CPU, 0.80),
    Goal(("upload",), samples.CPU, 0.80),
    Goal(("dokuwiki",), samples.RATE, 1.15, at_least=True),
    *(Goal((case,), samples.P99, 1.0) for case in (*grid.CASES, "wait", "churn", "slow")),
    Goal(("wait",), f"{waiting.AVAILABLE}, during", 0.80),
    Goal(("wait",), f"{waiting.AVAILABLE}, {waiting.AFTER} s after", 0.50),
    Goal(("churn",), samples.RATE, 1.5, at_least=True),
    Goal(("burst",), burst.FIGURE, 0.30),
    Goal(("idle",), beside.KEPT, 0.98, against="", at_least=True),
    Goal(("slow",), beside.KEPT, 0.98, against="", at_least=True),
    Goal(("reload", "upgrade"), reload.FAILED, 0, against=""),
)
