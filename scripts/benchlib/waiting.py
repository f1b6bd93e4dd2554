"""What many workers cost in memory: 500 of them in waits of 100 ms, and 30 s after."""

import time

from . import figures, load, samples
from .stack import Stack
from .turns import fresh_in_turns

WORKERS, WAIT_MS, AFTER = 500, 100, 30
# What all of it takes of the machine's memory, the kernel's part included; and what can be told of the processes alone,
# which neighbours do not disturb: proportional set size, page tables and kernel stacks.
AVAILABLE, OWN = "MiB less available", "MiB of PSS, page tables, kernel stacks"


def run(name, options, subjects, site, machine, found):
    cell = samples.Cell(name, f"{WAIT_MS} ms", WORKERS)
    pool = {"pm": "static", "pm.max_children": WORKERS}
    before = {}

    def start(subject):
        before[subject.name] = figures.available_kib()
        return Stack(subject, site, pool)

    def note(when, number, name, stack):
        pid = stack.master.pid
        found.put(cell, number, name, f"{AVAILABLE}, {when}", (before[name] - figures.available_kib()) / 1024)
        found.put(cell, number, name, f"{OWN}, {when}", (figures.pss_kib(pid) + figures.kernel_kib(pid)) / 1024)

    def one_round(number, name, stack):
        # Long enough for each worker to have served.
        seconds = max(options.seconds, 4)
        with machine.watch(cell, number, stack):
            wrk = load.start_wrk(stack.url(f"/wait.php?ms={WAIT_MS}"), seconds, WORKERS)
            time.sleep(seconds - 1)
            note("during", number, name, stack)
            outcome = load.finish_wrk(wrk)
        found.put(cell, number, name, samples.RATE, outcome.per_second)
        found.put(cell, number, name, samples.P99, outcome.p99_us)
        time.sleep(AFTER)
        note(f"{AFTER} s after", number, name, stack)

    fresh_in_turns(subjects, options.rounds, start, one_round)
