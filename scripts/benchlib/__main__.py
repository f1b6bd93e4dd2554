"""Reads the command line, runs the cases, writes the report."""

import argparse
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import (
    beside, burst, churn, engine, grid, instructions, machine, memory, pages, profile, reload, report, samples, scaling, subjects,
    syscalls, waiting,
)

CASES = {
    **{name: grid.run for name in grid.CASES},
    "churn": churn.run, "burst": burst.run, "idle": beside.run, "slow": beside.run, "long": beside.run,
    "wait": waiting.run, "memory": memory.run, "scaling": scaling.run,
    "reload": reload.run, "upgrade": reload.run, "syscalls": syscalls.run, "instructions": instructions.run, "profile": profile.run,
    "engine": engine.run,
}
# What "all" leaves out: what takes other settings, other builds, a debugger or a profiler.
BY_NAME = ("upgrade", "syscalls", "instructions", "profile", "engine")


def numbers(text):
    return [int(n) for n in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("cases", nargs="+", choices=[*CASES, "all"], metavar="CASE", help="all, or some of: " + " ".join(CASES))
    parser.add_argument("--php-ftm", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--php-fpm", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--nts-fpm", help=argparse.SUPPRESS)
    parser.add_argument("--build", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="of each server; 5 or more for figures to quote")
    parser.add_argument("--seconds", type=int, help="of a round of load (default: 3), or of all of reload and upgrade (60)")
    parser.add_argument("--workers", type=int, help="PHP threads, or processes (default: 16, or the load's connections)")
    parser.add_argument("--concurrency", default="1,16,256", type=numbers, help="connections of the load")
    parser.add_argument("--count", type=int, default=200, help="burst: requests, and pm.max_children")
    parser.add_argument("--wait", type=int, default=100, help="burst: what a script takes, in milliseconds")
    parser.add_argument("--each-second", action="store_true", help="reload, upgrade: a signal each second, not at random moments")
    parser.add_argument("--times", type=int, help="reload, upgrade: signals (default: 60 reloads, 20 upgrades)")
    parser.add_argument("--rate", type=int, default=300, help="reload, upgrade: requests per second")
    parser.add_argument("--longest", type=int, default=2000, help="reload, upgrade: the longest script, in milliseconds")
    parser.add_argument("--method", default="GET", help="reload, upgrade: POST is what nginx never repeats")
    parser.add_argument("--keep", action="store_true", help="reload, upgrade: nginx keeps its connections")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="reload, upgrade: for the random moments")
    options = parser.parse_args()
    if "engine" in options.cases and options.cases != ["engine"]:
        parser.error("engine compares builds of php-ftm with each other: no other case can go with it")
    asked = options.cases
    if "all" in asked:
        options.cases, options.each_second = [case for case in CASES if case not in BY_NAME], True
    rounds_only = "all" in asked and options.seconds
    options.reload_seconds, options.seconds = 60 if rounds_only else options.seconds or 60, options.seconds or 3
    if min(options.rounds, options.seconds, *options.concurrency) < 1:
        parser.error("a round takes a second, and a connection")
    if options.workers and options.workers < max(options.concurrency) and set(options.cases) & set(grid.CASES):
        parser.error("php-fpm gives each kept connection a process of its own: as many workers as connections, at least")
    return options


def summary(options, found, around):
    return engine.table(found) + around.told() if options.build else report.text(found, around)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Path(tempfile.mkdtemp(prefix="php-ftm-bench."))
    run.chmod(0o755)
    binaries = {subjects.FTM: options.php_ftm, subjects.FPM: options.php_fpm}
    if options.build:
        binaries = dict(build.split("=", 1) for build in options.build)
    elif options.nts_fpm:
        binaries[subjects.NTS] = options.nts_fpm
    around = machine.Machine()
    found = samples.Samples(options.results / "rounds.csv")
    try:
        compared = subjects.prepare(run, binaries)
        site = pages.prepare(run, dokuwiki=bool({"dokuwiki", "memory", "instructions", "profile", "engine"} & set(options.cases)))
        described = (
            machine.describe() + subjects.describe(compared)
            + f"load: wrk, {options.rounds} rounds of {options.seconds} s; one nginx worker for each server; "
            "opcache on, no access log, the same php.ini\n"
        )
        command = os.environ.get("FTM_BENCH_COMMAND") or shlex.join(sys.argv)
        print(described, flush=True)
        (options.results / "machine.txt").write_text(f"{described}command: {command}\n")
        for case in options.cases:
            CASES[case](case, options, compared, site, around, found)
            (options.results / "summary.md").write_text(summary(options, found, around))
        print(summary(options, found, around))
    finally:
        shutil.rmtree(run)
    print(f"each round's figures: {options.results}")
    failed = [r for r in found.rows if r.server == subjects.FTM and r.figure == reload.FAILED and r.value]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
