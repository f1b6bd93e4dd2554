"""Counts what reloads, or upgrades of the binary, cost the requests under way. Started by scripts/bench."""

import argparse
import asyncio
import collections
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import bench

SCRIPT = "<?php usleep((int) $_GET['ms'] * 1000); echo $_GET['n'];"
# How long a client waits for its answer beyond what the script takes, in seconds.
PATIENCE = 30


@dataclass
class Subject:
    """One of the servers that are compared."""

    name: str
    binary: str
    settings: str
    failures: collections.Counter = field(default_factory=collections.Counter)
    # What the answers took beyond the script's own time, in milliseconds.
    excess: list = field(default_factory=list)
    requests: int = 0
    reloads: int = 0


def start_php(run, subject, workers, user):
    """Starts a server from a copy of its binary, which an upgrade can replace."""
    room = run / subject.name
    room.mkdir()
    program = room / "server"
    shutil.copy(subject.binary, program)
    as_user = f"user = {user}\nlisten.owner = {user}\n" if os.geteuid() == 0 else ""
    conf = room / "fpm.conf"
    conf.write_text(
        f"[global]\nerror_log = {room}/error.log\nlog_level = notice\n{subject.settings}[reload]\n{as_user}listen = {room}/sock\n"
        f"listen.backlog = 4096\npm = static\npm.max_children = {workers}\n"
    )
    process, log = bench.start(run, f"{subject.name}.out", [program, "-F", "-n", "-y", conf])
    bench.wait_for(room / "sock", process, log)
    return process, program, room / "error.log"


def start_nginx(run, subject, user, keep):
    port = next(iter(bench.free_ports(1)))
    temp = "".join(f"    {kind}_temp_path {run}/nginx-{kind};\n" for kind in ("client_body", "fastcgi", "proxy", "uwsgi", "scgi"))
    conf = run / "nginx.conf"
    conf.write_text(
        f"{f'user {user};' if os.geteuid() == 0 else ''}\ndaemon off;\nworker_processes 1;\npid {run}/nginx.pid;\n"
        f"error_log {run}/nginx.error.log;\nevents {{ worker_connections 8192; }}\nhttp {{\n    access_log off;\n{temp}"
        f"    upstream php {{ server unix:{run}/{subject.name}/sock; {'keepalive 256;' if keep else ''} }}\n"
        f"    server {{\n        listen 127.0.0.1:{port} backlog=4096;\n        root {run}/site;\n"
        "        location ~ \\.php$ {\n            include /etc/nginx/fastcgi_params;\n"
        "            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n"
        f"            fastcgi_pass php;\n            fastcgi_keep_conn {'on' if keep else 'off'};\n        }}\n    }}\n}}\n"
    )
    process, log = bench.start(run, "nginx", ["nginx", "-e", run / "nginx.error.log", "-p", run, "-c", conf])
    bench.wait_for(run / "nginx.pid", process, log)
    return process, port


async def ask(subject, port, method, number, wait_ms):
    """One request; notes what came of it."""
    subject.requests += 1
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"{method} /wait.php?ms={wait_ms}&n={number} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(), PATIENCE + wait_ms / 1000)
        finally:
            writer.close()
    except (OSError, asyncio.TimeoutError) as e:
        subject.failures[type(e).__name__] += 1
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1].decode() if head.count(b" ") > 1 else "nothing"
    if status == "200" and body == str(number).encode():
        subject.excess.append((time.monotonic() - began) * 1000 - wait_ms)
    else:
        subject.failures[f"status {status}" if status != "200" else "wrong body"] += 1


async def disturb(subject, master, program, args, random_):
    """Sends the signals at random moments."""
    moments = sorted(random_.uniform(0, args.seconds) for _ in range(args.times))
    began = time.monotonic()
    for moment in moments:
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        if args.case == "upgrade":
            fresh = program.with_suffix(".new")
            shutil.copy(subject.binary, fresh)
            fresh.rename(program)
        master.send_signal(signal.SIGUSR2)
        if master.poll() is not None:
            sys.exit(f"{subject.name} is gone")


async def run_load(subject, master, program, port, args):
    random_ = random.Random(args.seed)
    disturbing = asyncio.create_task(disturb(subject, master, program, args, random.Random(args.seed + 1)))
    tasks = set()
    began = time.monotonic()
    for number in range(args.rate * args.seconds):
        await asyncio.sleep(max(0.0, began + number / args.rate - time.monotonic()))
        tasks.add(asyncio.create_task(ask(subject, port, args.method, number, random_.randrange(0, args.longest + 1))))
        if number % args.rate == 0:
            print(f"{subject.name}: {number // args.rate} s, {sum(subject.failures.values())} failed", end="\r", file=sys.stderr)
    await asyncio.gather(disturbing, *tasks)
    print(file=sys.stderr)


def measure(subject, args, user):
    run = Path(tempfile.mkdtemp(prefix="php-ftm-reload."))
    run.chmod(0o755)
    processes = []
    try:
        (run / "site").mkdir()
        (run / "site/wait.php").write_text(SCRIPT)
        master, program, log = start_php(run, subject, args.workers, user)
        processes.append(master)
        nginx, port = start_nginx(run, subject, user, args.keep)
        processes.append(nginx)
        asyncio.run(run_load(subject, master, program, port, args))
        # A server that logs to stderr where that is no file does so in its own log too.
        subject.reloads = log.read_text(errors="replace").count("ready to handle connections") - 1
    finally:
        bench.stop_all(processes)
        shutil.rmtree(run)


def summary(subjects):
    text = f"{'':32}{'requests':>9}{'failed':>8}{'reloads':>9}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}\n"
    for s in subjects:
        excess = sorted(s.excess) or [0.0]
        p99 = excess[int(len(excess) * 0.99)]
        text += f"{s.name:32}{s.requests:9}{sum(s.failures.values()):8}{s.reloads:9}"
        text += f"{statistics.median(excess):8.0f}{p99:8.0f}{excess[-1]:8.0f}"
        text += f"   {dict(s.failures)}\n" if s.failures else "\n"
    return text + "p50, p99, max: the answer's time beyond that of its script.\n"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench reload")
    parser.add_argument("case", choices=["reload", "upgrade"])
    parser.add_argument("--php-ftm", required=True)
    parser.add_argument("--php-fpm", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--times", type=int, help="signals at random moments (default: 60 reloads, 20 upgrades)")
    parser.add_argument("--rate", type=int, default=300, help="requests per second")
    parser.add_argument("--longest", type=int, default=2000, help="the longest script, in milliseconds")
    parser.add_argument("--method", default="GET", help="POST is what nginx does not repeat on another connection")
    parser.add_argument("--keep", action="store_true", help="nginx keeps its connections")
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = parser.parse_args()
    args.times = args.times or (60 if args.case == "reload" else 20)
    user = "www-data" if Path("/var/www").exists() else "nobody"
    patient = "process_control_timeout = 10s\n"
    subjects = [
        Subject("php-ftm", args.php_ftm, ""),
        Subject("php-fpm", args.php_fpm, ""),
        Subject("php-fpm-patient", args.php_fpm, patient),
    ]
    what = f"{args.times} {args.case}s at random moments in {args.seconds} s, {args.rate} requests/s, seed {args.seed}\n"
    print(what, end="", flush=True)
    for subject in subjects:
        measure(subject, args, user)
    told = summary(subjects) + "php-fpm-patient: process_control_timeout = 10s; the others leave it at its default, 0.\n"
    print(told)
    (args.results / "summary.txt").write_text(what + told)
    sys.exit(1 if subjects[0].failures else 0)


if __name__ == "__main__":
    main()
