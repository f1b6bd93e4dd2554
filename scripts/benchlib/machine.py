"""The machine: what it is, and how much of it others took while a round ran."""

import os
import platform
import re
import resource
import statistics
import subprocess
from contextlib import contextmanager
from pathlib import Path

from . import figures

TICK = 1 / os.sysconf("SC_CLK_TCK")
# What others may take of the processors before figures count as disturbed; and how far php-fpm's own rounds may lie apart,
# as a part of their median.
BUSY, SPREAD = 0.05, 0.10


def describe():
    cpu = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    tree = subprocess.run(["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"], capture_output=True, text=True)
    memory = figures.field_kib(Path("/proc/meminfo"), "MemTotal") / 1024 / 1024
    return (
        f"machine: {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.2f} at the start; the load, nginx and the servers share its CPUs\n"
        f"scripts: {tree.stdout.strip() or 'not of a git repository'}\n"
    )


def used_by_all():
    """Seconds of all processors that were neither idle nor waiting for a disk, the hypervisor's other guests included."""
    values = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return TICK * (sum(values) - values[3] - values[4])


def used_by_us(stack):
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    servers = sum(figures.cpu_us(process.pid) for process in stack.processes) / 1e6
    return sum(r.ru_utime + r.ru_stime for r in ours) + servers


class Machine:
    """Notes for each round which part of the processors others took."""

    def __init__(self):
        self.others = {}

    @contextmanager
    def watch(self, cell, number, stack):
        began, ours = used_by_all(), used_by_us(stack)
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        yield
        took = float(Path("/proc/uptime").read_text().split()[0]) - uptime
        strangers = (used_by_all() - began) - (used_by_us(stack) - ours)
        self.others.setdefault(cell, []).append(max(0.0, strangers / (took * os.cpu_count())))

    def disturbed(self, cell):
        """The part that others took in the median round; where that was not watched, in those of the case, or of all."""
        own = self.others.get(cell)
        case = [part for other, parts in self.others.items() if other.case == cell.case for part in parts]
        every = [part for parts in self.others.values() for part in parts]
        return statistics.median(own or case or every or [0.0])

    def told(self):
        rounds = [part for parts in self.others.values() for part in parts]
        if not rounds:
            return ""
        return (
            f"Of the processors others took {statistics.median(rounds):.1%} in the median round, "
            f"{figures.percentile(rounds, 0.95):.1%} in one of twenty.\n"
        )
