"""Counts what reloads, or upgrades of the binary, cost the requests under way."""

import asyncio
import collections
import random
import shutil
import sys
import time
from dataclasses import dataclass, field

from . import figures, load, samples, subjects as servers
from .stack import Stack

FAILED, TOTAL, RELOADS = "failed requests", "requests", "reloads"
# php-fpm that lets requests finish, which its default does not.
PATIENT = "php-fpm-patient"


@dataclass
class Count:
    """What came of the requests to one server."""

    failures: collections.Counter = field(default_factory=collections.Counter)
    # What the answers took beyond the script's own time, in milliseconds.
    excess: list = field(default_factory=list)
    requests: int = 0


async def ask(count, port, method, number, wait_ms):
    """One request; notes what came of it."""
    count.requests += 1
    began = time.monotonic()
    message = f"{method} /wait.php?ms={wait_ms}&n={number} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    try:
        answer = await load.exchange(port, message.encode())
    except (OSError, asyncio.TimeoutError) as e:
        count.failures[type(e).__name__] += 1
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1].decode() if head.count(b" ") > 1 else "nothing"
    if status == "200" and body == str(number).encode():
        count.excess.append((time.monotonic() - began) * 1000 - wait_ms)
    else:
        count.failures[f"status {status}" if status != "200" else "wrong body"] += 1


def moments(options, seconds, times):
    """When signals are sent, in seconds from the start."""
    if options.each_second:
        return range(1, seconds)
    random_ = random.Random(options.seed + 1)
    return sorted(random_.uniform(0, seconds) for _ in range(times))


async def disturb(stack, when, upgrade):
    began = time.monotonic()
    for moment in when:
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        if upgrade:
            fresh = stack.program.with_suffix(".new")
            shutil.copy(stack.subject.binary, fresh)
            fresh.rename(stack.program)
        stack.reload()
        if stack.master.poll() is not None:
            sys.exit(f"{stack.subject.name} is gone")


async def run_load(label, count, stack, options, seconds, when, upgrade):
    random_ = random.Random(options.seed)
    disturbing = asyncio.create_task(disturb(stack, when, upgrade))
    tasks = set()
    began = time.monotonic()
    for number in range(options.rate * seconds):
        await asyncio.sleep(max(0.0, began + number / options.rate - time.monotonic()))
        tasks.add(asyncio.create_task(ask(count, stack.port, options.method, number, random_.randrange(0, options.longest + 1))))
        if number % options.rate == 0:
            print(f"{label}: {number // options.rate} s, {sum(count.failures.values())} failed", file=sys.stderr)
    await asyncio.gather(disturbing, *tasks)


def run(name, options, subjects, site, machine, found):
    seconds, times = options.reload_seconds, options.times or (60 if name == "reload" else 20)
    when = moments(options, seconds, times)
    cell = samples.Cell(name, f"{len(when)} in {seconds} s, seed {options.seed}", options.rate)
    workers = options.workers or 500
    pool = {"pm": "static", "pm.max_children": workers}
    variants = [(servers.FTM, servers.FTM, ""), (servers.FPM, servers.FPM, "")]
    variants.append((PATIENT, servers.FPM, "process_control_timeout = 10s\n"))
    for label, server, settings in variants:
        with Stack(
            subjects[server], site, pool, keep=options.keep, keepalive=256, server=settings, replaceable=True
        ) as stack:
            count = Count()
            with machine.watch(cell, 1, stack):
                asyncio.run(run_load(label, count, stack, options, seconds, when, name == "upgrade"))
            reloads = stack.times_ready() - 1
        excess = count.excess or [0.0]
        for figure, value in (
            (TOTAL, count.requests), (FAILED, sum(count.failures.values())), (RELOADS, reloads),
            ("p50 ms beyond the script", figures.percentile(excess, 0.5)),
            ("p99 ms beyond the script", figures.percentile(excess, 0.99)), ("max ms beyond the script", max(excess)),
        ):
            found.put(cell, 1, label, figure, value)
        if count.failures:
            print(f"{label}: {dict(count.failures)}", file=sys.stderr)
