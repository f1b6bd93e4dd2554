"""What one more worker costs in memory: between a server with many and one with few of them, in each state of its life."""

import asyncio
import sys
import time

from . import fastcgi, figures, samples
from .stack import Stack

FEW, MANY, AFTER = 8, 72, 30
# Requests that are under way at the same time take a worker each.
HELD_MS = 1500
# What has been idle for longer may have given memory back, in seconds; and how often a look that took longer is repeated.
IDLE, TIMES = 1.8, 10
USER, ALL = "KiB of PSS per worker", "KiB of PSS, page tables and kernel stack per worker"
PAGES = ("hello", "mid", "dokuwiki/doku")


async def one_request(stack, site, page):
    """When it has been answered."""
    reader, writer = await asyncio.open_unix_connection(str(stack.socket))
    writer.write(fastcgi.request(site / "each.php", f"page={page}&ms={HELD_MS}"))
    await fastcgi.skip_answer(reader)
    writer.close()
    return time.monotonic()


async def serve_by_all(stack, site, workers, page):
    """Each worker serves a page. When the first of them was idle again."""
    return min(await asyncio.gather(*(one_request(stack, site, page) for _ in range(workers))))


def states(subject, site, workers):
    """The memory of a server with so many workers in one state after the other: its name, PSS, and PSS with the kernel's part."""
    with Stack(subject, site, {"pm": "static", "pm.max_children": workers}) as stack:

        def look():
            pss = figures.pss_kib(stack.master.pid)
            return pss, pss + figures.kernel_kib(stack.master.pid)

        time.sleep(1)  # php-fpm is ready before its children are
        yield "fresh", *look()
        for page in PAGES:
            asyncio.run(serve_by_all(stack, site, workers, page))  # it may have to be compiled
            for _ in range(TIMES):
                idle_since = asyncio.run(serve_by_all(stack, site, workers, page))
                found = look()
                if time.monotonic() - idle_since < IDLE:
                    break
            else:
                sys.exit("the machine is too busy to look at a server that was just busy")
            yield f"after {page.split('/')[0]}", *found
        time.sleep(AFTER)
        yield f"{AFTER} s idle", *look()


def run(name, options, subjects, site, machine, found):
    for number in range(1, options.rounds + 1):
        for subject in subjects.values():
            few, many = (list(states(subject, site, workers)) for workers in (FEW, MANY))
            for (state, *less), (_, *more) in zip(few, many):
                cell = samples.Cell(name, state)
                for figure, least, most in zip((USER, ALL), less, more):
                    found.put(cell, number, subject.name, figure, (most - least) / (MANY - FEW))
