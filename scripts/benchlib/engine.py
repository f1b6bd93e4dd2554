"""What each part of an optimized build of PHP gains: instructions and processor time, beside the plain build."""

from . import grid, instructions, report, samples


def run(name, options, subjects, site, machine, found):
    instructions.run(name, options, subjects, site, machine, found)
    for case in instructions.CASES:
        grid.measure(samples.Cell(case, "keep", grid.WORKERS), options, subjects, site, machine, found)


def table(found):
    """One line for each build: medians, and how they compare with the first build's, which is the plain one."""
    builds = list(dict.fromkeys(row.server for row in found.rows))
    cells = [(cell, figure) for cell in found.cells() for figure in found.figures(cell)]
    cells = [(cell, figure) for cell, figure in cells if figure in (instructions.FIGURE, samples.CPU)]

    def told(cell, build, figure):
        value, ratio = found.median(cell, build, figure), found.ratio(cell, build, builds[0], figure)
        return f"{value:,.0f} ({ratio:.2f})" if build != builds[0] else f"{value:,.0f}"

    head = ["build", *(f"{cell.case.split(',')[0]}, {figure}" for cell, figure in cells)]
    return report.table(head, [[build, *(told(cell, build, figure) for cell, figure in cells)] for build in builds])
