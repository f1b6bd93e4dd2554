"""What clients beside it cost the load: kept connections that are idle, slow readers and uploaders, scripts that compute for long."""

import resource
import sys
from contextlib import nullcontext

from . import crowd, fastcgi, figures, load, samples, subjects as servers
from .stack import Stack
from .turns import in_turns

CONCURRENCY, IDLE, SLOW, LONG = 16, 5000, 200, 4
# Of the same server in the same round.
KEPT = "requests/s beside / alone"
# What shares the processors with the server.
NGINX_CPU, CLIENTS_CPU = "nginx's CPU us/request", "clients' CPU us/request"


def used(stack):
    """Processor time so far, in microseconds, of the server, its nginx, and all clients."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        samples.CPU: figures.cpu_us(stack.master.pid),
        NGINX_CPU: figures.cpu_us(stack.nginx.pid),
        CLIENTS_CPU: sum(usage.ru_utime + usage.ru_stime for usage in own) * 1e6,
    }


def run(name, options, subjects, site, machine, found):
    needed = IDLE * 2
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
    if name == "idle":
        # A kept connection holds a process of php-fpm: it would take 5,000 of them.
        subjects = {servers.FTM: subjects[servers.FTM]}
    # php-fpm needs a process for each of these clients.
    workers = CONCURRENCY + {"slow": SLOW, "long": LONG}.get(name, 0)
    pool = {"pm": "static", "pm.max_children": workers}

    def start(subject):
        return Stack(subject, site, pool, keep=True, keepalive=workers, buffering=name != "slow")

    def clients(stack):
        if name == "idle":
            message = fastcgi.request(site / "hello.php", keep=True)
            return [crowd.idle(stack.socket, message)] * IDLE
        if name == "long":
            return [crowd.steady(stack.port, "/long.php")] * LONG
        reader, uploader = (make(stack.port, "/slow.php") for make in (crowd.slow_reader, crowd.slow_uploader))
        return [reader, uploader] * (SLOW // 2)

    def one_round(number, server, stack):
        rates = {}
        for mode in ("alone", "beside") if number % 2 else ("beside", "alone"):
            cell = samples.Cell(name, mode, CONCURRENCY)
            with crowd.Crowd(clients(stack)) if mode == "beside" else nullcontext():
                before = used(stack)
                with machine.watch(cell, number, stack):
                    outcome = load.wrk(stack.url("/hello.php"), options.seconds, CONCURRENCY)
                after = used(stack)
            rates[mode] = outcome.per_second
            found.put(cell, number, server, samples.RATE, outcome.per_second)
            found.put(cell, number, server, samples.P99, outcome.p99_us)
            for figure in before:
                found.put(cell, number, server, figure, (after[figure] - before[figure]) / outcome.requests)
        found.put(samples.Cell(name), number, server, KEPT, rates["beside"] / rates["alone"])
        print(f"{name} round {number}: {server:12}{rates['beside'] / rates['alone']:9.3f}", file=sys.stderr)

    in_turns(subjects, options.rounds, start, one_round, lambda stack: load.wrk(stack.url("/hello.php"), 1, CONCURRENCY))
