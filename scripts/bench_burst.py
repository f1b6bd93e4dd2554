"""Measures how long a burst of requests takes on an idle pool that starts its workers on demand. Started by scripts/bench."""

import argparse
import asyncio
import os
import shutil
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import bench

SCRIPT = "<?php usleep((int) $_GET['ms'] * 1000); echo 'done';"
SERVERS = ("php-ftm", "php-fpm")
# How long a client waits for its answer, in seconds.
PATIENCE = 60
BEGIN_REQUEST, PARAMS, STDIN = 1, 4, 5


def record(kind, content=b""):
    """A FastCGI record of request 1, see section 3.3 of the specification."""
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def request(script, wait_ms):
    params = {
        "SCRIPT_FILENAME": str(script), "SCRIPT_NAME": "/wait.php", "REQUEST_METHOD": "GET", "QUERY_STRING": f"ms={wait_ms}",
    }
    pairs = b"".join(bytes([len(name), len(value)]) + (name + value).encode() for name, value in params.items())
    begin = record(BEGIN_REQUEST, struct.pack("!HB5x", 1, 0))
    return begin + record(PARAMS, pairs) + record(PARAMS) + record(STDIN)


async def ask(socket, message):
    """One request on a connection of its own; true if it was served."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(message)
        return b"done" in await asyncio.wait_for(reader.read(), PATIENCE)
    except (OSError, asyncio.TimeoutError):
        return False
    finally:
        writer.close()


async def burst(socket, message, count):
    """Milliseconds until all are served, and how many were not."""
    began = time.monotonic()
    served = await asyncio.gather(*(ask(socket, message) for _ in range(count)))
    return (time.monotonic() - began) * 1000, served.count(False)


def measure(name, binary, args, user):
    """One burst on a server that was started just before and has no worker yet."""
    run = Path(tempfile.mkdtemp(prefix="php-ftm-burst."))
    run.chmod(0o755)
    process = None
    try:
        script = run / "wait.php"
        script.write_text(SCRIPT)
        as_user = f"user = {user}\nlisten.owner = {user}\n" if os.geteuid() == 0 else ""
        conf = run / "fpm.conf"
        conf.write_text(
            f"[global]\nerror_log = {run}/error.log\n[burst]\n{as_user}listen = {run}/sock\nlisten.backlog = 4096\n"
            f"pm = ondemand\npm.max_children = {args.count}\n"
        )
        process, log = bench.start(run, name, [binary, "-F", "-n", "-y", conf])
        bench.wait_for(run / "sock", process, log)
        # The socket is there before the server is ready; what it opens then would count for the burst.
        deadline = time.monotonic() + 30
        while "ready to handle connections" not in (run / "error.log").read_text() + log.read_text():
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not get ready")
            time.sleep(0.05)
        took, failed = asyncio.run(burst(str(run / "sock"), request(script, args.wait), args.count))
        if failed:
            sys.exit(f"{name}: {failed} of {args.count} requests were not served")
        return took
    finally:
        bench.stop_all([process] if process else [])
        shutil.rmtree(run)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench burst")
    parser.add_argument("--php-ftm", required=True)
    parser.add_argument("--php-fpm", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7, help="of each server")
    parser.add_argument("--count", type=int, default=200, help="requests, and pm.max_children")
    parser.add_argument("--wait", type=int, default=100, help="what a script takes, in milliseconds")
    args = parser.parse_args()
    user = "www-data" if Path("/var/www").exists() else "nobody"
    binaries = {"php-ftm": args.php_ftm, "php-fpm": args.php_fpm}
    told = f"{args.count} requests of {args.wait} ms at once, on an idle ondemand pool of {args.count}, {os.cpu_count()} CPUs\n"
    print(told, end="", flush=True)
    found = {name: [] for name in SERVERS}
    for number in range(args.rounds):
        # Each goes first as often as the other.
        for name in SERVERS if number % 2 else reversed(SERVERS):
            found[name].append(measure(name, binaries[name], args, user))
            print(f"round {number + 1}/{args.rounds} {name}: {found[name][-1]:.0f} ms", file=sys.stderr)
    table = f"{'until all are served':22}{'median ms':>10}{'least':>8}{'most':>8}\n"
    for name, times in found.items():
        table += f"{name:22}{statistics.median(times):10.0f}{min(times):8.0f}{max(times):8.0f}\n"
    ratio = statistics.median(a / b for a, b in zip(found["php-ftm"], found["php-fpm"]))
    table += f"{'ratio':22}{ratio:10.3f}   (php-ftm / php-fpm, median of the rounds)\n"
    print(table)
    (args.results / "summary.txt").write_text(told + table)


if __name__ == "__main__":
    main()
