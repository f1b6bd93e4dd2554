"""The cases that are loaded with and without kept connections, and by one client, some and many."""

import sys
from dataclasses import dataclass

from . import figures, load, samples
from .stack import Stack
from .turns import in_turns

# With a new connection for each request, and with connections that nginx keeps.
MODES = ("close", "keep")
# So many workers there are at least.
WORKERS = 16


@dataclass
class Case:
    path: str
    # Bytes of the body, and of the file that is uploaded.
    body: int = 0
    upload: int = 0

    def load(self, stack, seconds, concurrency):
        if self.upload:
            # Enough for the clock, and for each client.
            return load.uploads(stack.port, self.path, self.upload, max(concurrency, 16), concurrency)
        return load.wrk(stack.url(self.path), seconds, concurrency, self.body)


CASES = {
    "hello": Case("/hello.php"),
    "mid": Case("/mid.php"),
    "cpu": Case("/cpu.php"),
    "big": Case("/big.php"),
    "post": Case("/post.php", body=64 << 10),
    "upload": Case("/upload.php", upload=20 << 20),
    "dokuwiki": Case("/dokuwiki/doku.php?id=start"),
}


def run(name, options, subjects, site, machine, found):
    """All cells of a case."""
    for mode in MODES:
        for concurrency in options.concurrency:
            measure(samples.Cell(name, mode, concurrency), options, subjects, site, machine, found)


def measure(cell, options, subjects, site, machine, found):
    """One cell, on servers of its own, so that nothing is left of others in their memory."""
    case = CASES[cell.case]
    # php-fpm gives each kept connection a process of its own.
    workers = options.workers or max(WORKERS, cell.concurrency)
    pool = {"pm": "static", "pm.max_children": workers}

    def start(subject):
        return Stack(subject, site, pool, keep=cell.mode == "keep", keepalive=workers)

    def one_round(number, name, stack):
        before = figures.cpu_us(stack.master.pid)
        with machine.watch(cell, number, stack):
            outcome = case.load(stack, options.seconds, cell.concurrency)
        cpu = (figures.cpu_us(stack.master.pid) - before) / outcome.requests
        pss = figures.pss_kib(stack.master.pid) / 1024
        values = (outcome.per_second, cpu, outcome.p50_us, outcome.p99_us, outcome.p999_us, pss)
        for figure, value in zip(samples.GRID_FIGURES, values):
            found.put(cell, number, name, figure, value)
        print(f"{cell} round {number}: {name:12}{outcome.per_second:9.1f}/s {cpu:10.1f} us", file=sys.stderr)

    def warm_up(stack):
        if not case.upload:
            load.first(stack.url(case.path))
        case.load(stack, 1, min(cell.concurrency, WORKERS))

    in_turns(subjects, options.rounds, start, one_round, warm_up)
