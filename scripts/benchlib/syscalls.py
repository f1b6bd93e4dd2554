"""System calls for one request of hello: a figure that neighbours on the machine do not change."""

import re
import sys
from pathlib import Path

from . import figures, grid, load, samples
from .stack import Stack
from .turns import in_turns

CLIENTS = (1, 16)
ALL = "all system calls"


def counted(table):
    """Calls by name, from what strace -c prints."""
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", table, re.M)
    return {name: int(calls) for calls, name in rows if name != "total"}


def run(name, options, subjects, site, machine, found):
    for mode in grid.MODES:
        for clients in CLIENTS:
            measure(samples.Cell(name, mode, clients), options, subjects, site, found)


def measure(cell, options, subjects, site, found):
    pool = {"pm": "static", "pm.max_children": grid.WORKERS}

    def start(subject):
        return Stack(subject, site, pool, keep=cell.mode == "keep", keepalive=grid.WORKERS)

    def one_round(number, name, stack):
        url, out = stack.url("/hello.php"), stack.run / "strace"
        load.wrk(url, 1, cell.concurrency)
        traced = [f"-p{pid}" for pid in figures.family(stack.master.pid)]
        threads = sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in figures.family(stack.master.pid))
        command = ["strace", "-f", "-c", "-o", out, *traced]
        with stack.watched(command, lambda: being_traced(stack.master.pid) >= threads):
            outcome = load.wrk(url, options.seconds, cell.concurrency)
        calls = counted(out.read_text())
        for call, count in sorted(calls.items(), key=lambda pair: -pair[1]):
            # What is rarer has nothing to do with requests.
            if count >= outcome.requests / 100:
                found.put(cell, number, name, call, count / outcome.requests)
        found.put(cell, number, name, ALL, sum(calls.values()) / outcome.requests)
        print(f"{cell} round {number}: {name:12}{sum(calls.values()) / outcome.requests:6.2f} calls", file=sys.stderr)

    in_turns(subjects, options.rounds, start, one_round)


def being_traced(master):
    """How many threads of a server a debugger has."""
    tasks = [task for pid in figures.family(master) for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(figures.field_kib(task / "status", "TracerPid") > 0 for task in tasks)
