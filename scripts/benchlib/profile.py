"""Where the processor time of a request goes, by perf: the kernel's part, and the functions that take most."""

import re
import statistics
import subprocess
import sys

from . import figures, grid, load, samples
from .stack import Stack
from .turns import fresh_in_turns

# Page, connections, clients.
LOADS = (
    ("hello", "keep", 1),
    ("hello", "keep", 16),
    ("hello", "close", 16),
    ("mid", "keep", 16),
    ("cpu", "keep", 16),
    ("dokuwiki", "keep", 16),
    ("upload", "keep", 256),
)
# Samples each second of each processor's time.
FREQUENCY = 2000
# A function is shown that takes this part of some server's time.
LEAST = 0.02
KERNEL, NAMELESS = "kernel", "functions without a name"


def run(name, options, subjects, site, machine, found):
    for page, mode, clients in LOADS:
        measure(samples.Cell(f"{name} {page}", mode, clients), grid.CASES[page], options, subjects, site, machine, found)


def measure(cell, page, options, subjects, site, machine, found):
    workers = max(grid.WORKERS, cell.concurrency)
    pool = {"pm": "static", "pm.max_children": workers}
    rounds = {name: [] for name in subjects}

    def start(subject):
        return Stack(subject, site, pool, keep=cell.mode == "keep", keepalive=workers)

    def one_round(number, server, stack):
        page.load(stack, 1, min(cell.concurrency, grid.WORKERS))
        with machine.watch(cell, number, stack):
            parts, cpu = recorded(stack, lambda: page.load(stack, options.seconds, cell.concurrency))
        rounds[server].append({samples.CPU: cpu} | {function: part * cpu for function, part in parts.items()})
        print(f"{cell} round {number}: {server:12}{cpu:10.1f} us, {parts[KERNEL]:.0%} of it in the kernel", file=sys.stderr)

    fresh_in_turns(subjects, options.rounds, start, one_round)
    for function in shown(rounds):
        for server, taken in rounds.items():
            for number, times in enumerate(taken, 1):
                found.put(cell, number, server, function, times.get(function, 0.0))


def recorded(stack, loaded):
    """Which part of a server's processor time each function takes while `loaded()` runs, and that time for each request, in
    microseconds; perf's own work on it counts, which is 2000 samples a second."""
    data, pids = stack.run / "perf.data", ",".join(map(str, figures.family(stack.master.pid)))
    command = ["perf", "record", "-q", "-o", data, "-F", str(FREQUENCY), "-e", "cpu-clock", "-p", pids]
    # It has all threads when it begins to write.
    with stack.watched(command, lambda: data.exists() and data.stat().st_size > 0):
        before = figures.cpu_us(stack.master.pid)
        outcome = loaded()
        cpu = (figures.cpu_us(stack.master.pid) - before) / outcome.requests
    command = ["perf", "report", "-i", data, "--stdio", "-g", "none", "-F", "overhead,sym"]
    return parts_of(subprocess.run(command, capture_output=True, text=True, check=True, errors="replace").stdout), cpu


def parts_of(told):
    """Functions by their part of the time, the kernel's as one, from what perf report prints."""
    parts = {KERNEL: 0.0, NAMELESS: 0.0}
    for percent, where, function in re.findall(r"^\s*([\d.]+)%\s+\[(.)\] (.+?)\s*$", told, re.M):
        if where == "k":
            function = KERNEL
        elif function.startswith("0x"):
            function = NAMELESS
        parts[function] = parts.get(function, 0.0) + float(percent) / 100
    if not parts[KERNEL]:
        sys.exit(f"perf may not look into the kernel (see /proc/sys/kernel/perf_event_paranoid): run this as root. It reports:\n{told}")
    return parts


def shown(rounds):
    """What takes a part worth showing of some server's time, in the median of its rounds; the largest first."""
    most = {}
    for taken in rounds.values():
        for function in {function for times in taken for function in times}:
            parts = [times.get(function, 0.0) / times[samples.CPU] for times in taken]
            most[function] = max(most.get(function, 0.0), statistics.median(parts))
    return sorted((function for function in most if most[function] >= LEAST), key=lambda function: -most[function])
