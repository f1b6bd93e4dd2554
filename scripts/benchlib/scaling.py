"""What the main thread has to do for a request: it is one, however many processors there are, and everything else is shared."""

import sys
from pathlib import Path

from . import figures, load, samples, subjects as servers
from .grid import CASES, WORKERS
from .stack import Stack
from .turns import in_turns

# The machine that the calculation is about.
PROCESSORS = 16
MAIN, PHP = "us of the main thread/request", "us of PHP threads/request"
LIMIT, NEED = "requests/s that keep the main thread busy", f"requests/s that keep {PROCESSORS} processors busy"
# Path, connections, clients, bytes of the body. More clients than threads: requests wait, and the main thread reads them.
LOADS = (
    ("/null.php", "keep", 16, 0),
    ("/null.php", "close", 16, 0),
    ("/null.php", "keep", 256, 0),
    ("/null.php", "close", 256, 0),
    (CASES["post"].path, "keep", 16, CASES["post"].body),
)


def used_us(master):
    """Processor time of PHP threads, and of all others, in microseconds."""
    php = others = 0.0
    for pid in figures.family(master):
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                name, spent = (task / "comm").read_text(), int((task / "schedstat").read_text().split()[0]) / 1000
            except OSError:
                continue  # it ended while we looked
            if name.startswith("php "):
                php += spent
            else:
                others += spent
    return php, others


def run(name, options, subjects, site, machine, found):
    for path, mode, clients, body in LOADS:
        cell = samples.Cell(f"{name} {Path(path).stem}", mode, clients)
        measure(cell, path, body, options, {servers.FTM: subjects[servers.FTM]}, site, machine, found)


def measure(cell, path, body, options, subjects, site, machine, found):
    pool = {"pm": "static", "pm.max_children": WORKERS}

    def start(subject):
        return Stack(subject, site, pool, keep=cell.mode == "keep", keepalive=cell.concurrency)

    def one_round(number, server, stack):
        before = used_us(stack.master.pid)
        with machine.watch(cell, number, stack):
            outcome = load.wrk(stack.url(path), options.seconds, cell.concurrency, body)
        php, main = ((now - then) / outcome.requests for now, then in zip(used_us(stack.master.pid), before))
        for figure, value in ((samples.RATE, outcome.per_second), (MAIN, main), (PHP, php)):
            found.put(cell, number, server, figure, value)
        found.put(cell, number, server, LIMIT, 1e6 / main)
        found.put(cell, number, server, NEED, PROCESSORS * 1e6 / (main + php))
        print(f"{cell} round {number}: main {main:7.3f} us, PHP threads {php:7.2f} us", file=sys.stderr)

    in_turns(subjects, options.rounds, start, one_round, lambda stack: load.wrk(stack.url(path), 1, cell.concurrency, body))
