"""How long a burst of requests takes on an idle pool that starts its workers on demand."""

import asyncio
import sys
import time

from . import fastcgi, load, samples
from .stack import Stack
from .turns import fresh_in_turns

FIGURE = "ms until all are served"


async def ask(socket, message):
    """One request on a connection of its own; true if it was served."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(message)
        return b"done" in await asyncio.wait_for(reader.read(), load.PATIENCE)
    except (OSError, asyncio.TimeoutError):
        return False
    finally:
        writer.close()


async def burst(socket, message, count):
    """Milliseconds until all are served, and how many were not."""
    began = time.monotonic()
    served = await asyncio.gather(*(ask(socket, message) for _ in range(count)))
    return (time.monotonic() - began) * 1000, served.count(False)


def run(name, options, subjects, site, machine, found):
    cell = samples.Cell(name, f"{options.wait} ms", options.count)
    pool = {"pm": "ondemand", "pm.max_children": options.count}
    message = fastcgi.request(site / "wait.php", f"ms={options.wait}")

    def one_round(number, name, stack):
        with machine.watch(cell, number, stack):
            took, failed = asyncio.run(burst(stack.socket, message, options.count))
        if failed:
            sys.exit(f"{name}: {failed} of {options.count} requests were not served")
        found.put(cell, number, name, FIGURE, took)
        print(f"{cell} round {number}: {name:12}{took:9.0f} ms", file=sys.stderr)

    fresh_in_turns(subjects, options.rounds, lambda subject: Stack(subject, site, pool), one_round)
