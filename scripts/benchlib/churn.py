"""Workers that are replaced all the time: pm.max_requests = 20."""

from . import figures, load, samples
from .stack import Stack
from .turns import in_turns

MAX_REQUESTS, CONCURRENCY = 20, 16


def run(name, options, subjects, site, machine, found):
    cell = samples.Cell(name, f"max_requests={MAX_REQUESTS}", CONCURRENCY)
    pool = {"pm": "static", "pm.max_children": CONCURRENCY, "pm.max_requests": MAX_REQUESTS}

    def one_round(number, name, stack):
        before = figures.cpu_us(stack.master.pid)
        with machine.watch(cell, number, stack):
            outcome = load.wrk(stack.url("/hello.php"), options.seconds, CONCURRENCY)
        found.put(cell, number, name, samples.RATE, outcome.per_second)
        found.put(cell, number, name, samples.CPU, (figures.cpu_us(stack.master.pid) - before) / outcome.requests)
        found.put(cell, number, name, samples.P99, outcome.p99_us)

    def warm_up(stack):
        load.first(stack.url("/hello.php"))

    in_turns(subjects, options.rounds, lambda subject: Stack(subject, site, pool), one_round, warm_up)
