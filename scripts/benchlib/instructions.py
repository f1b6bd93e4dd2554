"""Instructions in user space for one request, counted by callgrind with one worker: the same on any machine."""

import re
import sys
import tempfile
from pathlib import Path

from . import grid, load, samples
from .stack import Stack

FIGURE = "instructions"
# Requests that are counted, of each case: they are many where one takes few.
CASES = {"hello": 100, "mid": 20, "cpu": 2, "dokuwiki": 10}
# Requests before them: scripts are compiled, caches filled.
WARM_UP = 3


def run(_, options, subjects, site, machine, found):
    for case, count in CASES.items():
        for name, subject in subjects.items():
            value = counted(subject, site, grid.CASES[case].path, count)
            found.put(samples.Cell(f"{case}, {FIGURE}"), 1, name, FIGURE, value)
            print(f"{case}: {name:12}{value:12,.0f} instructions", file=sys.stderr)


def counted(subject, site, path, count):
    """The difference of two runs of a server, one of which has served `count` requests more."""
    few, many = (total(subject, site, path, WARM_UP + more) for more in (0, count))
    return (many - few) / count


def total(subject, site, path, requests):
    """The instructions of all processes of a server, from its start to its end."""
    pool = {"pm": "static", "pm.max_children": 1}
    with tempfile.TemporaryDirectory(prefix="php-ftm-bench.") as outs:
        # Workers have changed their user.
        Path(outs).chmod(0o1777)
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={outs}/%p"]
        with Stack(subject, site, pool, keep=True, keepalive=1, before=command) as stack:
            for _ in range(requests):
                load.first(stack.url(path))
            stack.end()
        found = [re.search(r"^(?:totals|summary): (\d+)", out.read_text(errors="replace"), re.M) for out in Path(outs).iterdir()]
    if len(found) < 2 or None in found:
        sys.exit(f"callgrind did not count all processes of {subject.name}")
    return sum(int(one[1]) for one in found)
