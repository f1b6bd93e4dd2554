"""The tables: Markdown, so that they can be read as they are and go into docs/performance.md."""

from . import grid, samples
from .goals import GOALS
from .machine import BUSY, SPREAD
from .subjects import FPM, FTM, NTS


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(c) for c in line) + " |\n" for line in lines)


def number(value):
    """To three places, or whole."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(value):
    return "" if value is None else f"{value:.2f}"


def noisy(found, machine, cell):
    """Whether a cell's figures tell little."""
    measured = found.figures(cell)
    figure = samples.RATE if samples.RATE in measured else measured[0]
    return machine.disturbed(cell) > BUSY or found.spread(cell, FPM, figure) > SPREAD


def grid_table(found, machine):
    """One line for each cell: php-ftm's figures and their ratios to the others'."""
    head = ["case", "connections", "clients", *samples.GRID_FIGURES]
    head += [f"{figure} × fpm" for figure in ("requests/s", "CPU", "p99", "PSS")]
    head += [f"{figure} × nts" for figure in ("requests/s", "CPU")]
    rows = []
    for cell in found.cells():
        if cell.case not in grid.CASES:
            continue
        row = [cell.case + (" ~" if noisy(found, machine, cell) else ""), cell.mode, cell.concurrency]
        row += [number(found.median(cell, FTM, figure)) for figure in samples.GRID_FIGURES]
        row += [ratio(found.ratio(cell, FTM, FPM, figure)) for figure in (samples.RATE, samples.CPU, samples.P99, samples.PSS)]
        row += [ratio(found.ratio(cell, FTM, NTS, figure)) for figure in (samples.RATE, samples.CPU)]
        rows.append(row)
    return table(head, rows) if rows else ""


def other_table(found, machine):
    """One line for each figure of the cases that are not of the grid."""
    servers = list(dict.fromkeys(r.server for r in found.rows if r.case not in grid.CASES))
    rows = []
    for cell in found.cells():
        if cell.case in grid.CASES:
            continue
        for figure in found.figures(cell):
            row = [str(cell) + (" ~" if noisy(found, machine, cell) else ""), figure]
            row += [number(found.median(cell, server, figure)) for server in servers]
            row += [ratio(found.ratio(cell, FTM, against, figure)) for against in (FPM, NTS)]
            rows.append(row)
    return table(["case", "figure", *servers, "× fpm", "× nts"], rows) if rows else ""


def goals_table(found, machine):
    rows = []
    for goal in GOALS:
        measured = goal.measured(found)
        if not measured:
            continue
        worst, value = measured[0]
        met = "yes" if goal.met_by(value) else "no"
        if len(measured) > 1 and not goal.met_by(value):
            met += f" ({sum(goal.met_by(v) for _, v in measured)} of {len(measured)})"
        if noisy(found, machine, worst):
            met += ", noisy"
        rounds = goal.rounds(found, worst)
        told = f"{number(value)}, in its rounds {number(min(rounds))} to {number(max(rounds))}"
        if len(measured) > 1:
            told = f"{worst.mode} {worst.concurrency}: {told}; best cell {number(measured[-1][1])}"
        rows.append([str(goal), told, met])
    return table(["goal", "measured (the worst cell)", "met"], rows) if rows else ""


def text(found, machine):
    cells = found.cells()
    loud = [cell for cell in cells if noisy(found, machine, cell)]
    said = ""
    if loud:
        said = (
            f"The machine was too noisy to tell in {len(loud)} of {len(cells)} cells, which are marked ~: php-fpm's own rounds "
            f"lie more than {SPREAD:.0%} apart there, or others took more than {BUSY:.0%} of the processors. Do not quote "
            "those.\n"
        )
    tables = [grid_table(found, machine), other_table(found, machine), goals_table(found, machine), machine.told() + said]
    return "\n".join(t for t in tables if t)
