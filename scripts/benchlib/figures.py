"""What a server uses: processor time and memory of a process and all that descend from it, from /proc."""

import os
import time
from pathlib import Path

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
# The stack that the kernel has for each thread, in KiB (x86-64 and arm64).
KERNEL_STACK_KIB = 16


def family(master):
    """Of a process and all its descendants: process id, and the ticks that children it has waited for have used."""
    parents, waited = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        parents[pid] = int(rest[1])
        waited[pid] = int(rest[13]) + int(rest[14])

    def ours(pid):
        while pid in parents:
            if pid == master:
                return True
            pid = parents[pid]
        return False

    return {pid: ticks for pid, ticks in waited.items() if ours(pid)}


def cpu_us(master):
    """The processor time that a process and all its descendants, also the ended ones, have used so far, in microseconds."""
    total = 0.0
    for pid, waited in family(master).items():
        try:
            # clock_getcpuclockid(3) of the whole process: exact, where /proc counts in ticks of 10 ms.
            total += time.clock_gettime_ns((~pid << 3) | 2) / 1000 + waited * TICK_US
        except OSError:
            continue
    return total


def field_kib(path, name):
    """The sum of a field of a file such as /proc/PID/status, in KiB; 0 where the process has ended."""
    try:
        return sum(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    except OSError:
        return 0


def pss_kib(master):
    """Proportional set size of all processes: what is shared is counted once."""
    return sum(field_kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in family(master))


def kernel_kib(master):
    """What the kernel holds for them in page tables and stacks."""
    total = 0
    for pid in family(master):
        status = Path(f"/proc/{pid}/status")
        total += field_kib(status, "VmPTE") + KERNEL_STACK_KIB * field_kib(status, "Threads")
    return total


def available_kib():
    """What the machine has left, which counts everything that the kernel holds, and what others use meanwhile."""
    return field_kib(Path("/proc/meminfo"), "MemAvailable")


def percentile(values, part):
    """The value that `part` of all do not exceed; the list must not be empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
