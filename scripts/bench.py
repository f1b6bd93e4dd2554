"""Runs php-ftm and php-fpm by turns under the same load behind the same nginx. Started by scripts/bench."""

import argparse
import csv
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
# How far php-fpm's own rounds may lie apart, as a part of their median, before the machine counts as noisy.
QUIET = 0.10
# With a new connection for each request, and with connections that are kept.
MODES = ("close", "keep")
SERVERS = ("php-ftm", "php-fpm")


@dataclass
class Round:
    """One measurement of one server."""

    number: int
    mode: str
    server: str
    requests: int
    per_second: float
    cpu_us: float  # of all processes of the server, for one request
    p50_us: float
    p99_us: float


def stop_all(processes):
    """Ends servers with all that they started: each leads a process group."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def wait_for(path, process, log):
    """Waits until a server has made the file that shows that it listens."""
    deadline = time.monotonic() + 30
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"a server did not start:\n{log.read_text()}")
        time.sleep(0.05)


def cpu_us(master):
    """The CPU time that a process and all its descendants have used so far, in microseconds."""
    parents, ticks = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        parents[pid] = int(rest[1])
        # Its own user and system time, and that of children which it has waited for.
        ticks[pid] = sum(int(field) for field in rest[11:15])

    def ours(pid):
        while pid in parents:
            if pid == master:
                return True
            pid = parents[pid]
        return False

    return TICK_US * sum(used for pid, used in ticks.items() if ours(pid))


def start(run, name, command):
    """Starts a server in a session of its own, with its output in a log."""
    log = run / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    return process, log


def start_php(run, name, mode, binary, workers, user):
    """Starts php-ftm or php-fpm with the same settings and waits for its socket.

    Each mode has its own: connections that nginx keeps hold php-fpm's workers, and none would be left for the others.
    """
    label = f"{name}-{mode}"
    ini = run / f"{label}.ini"
    text = (ROOT / "conf/php.ini").read_text()
    # Debian's php-fpm loads opcache by a conf.d of its own.
    ini.write_text(text if name == "php-ftm" else text.replace("zend_extension = opcache", ""))
    as_user = f"user = {user}\nlisten.owner = {user}\n" if os.geteuid() == 0 else ""
    conf = run / f"{label}.conf"
    conf.write_text(
        f"[global]\nerror_log = {run}/{label}.error.log\n[bench]\n{as_user}listen = {run}/{label}.sock\n"
        f"pm = static\npm.max_children = {workers}\n"
    )
    process, log = start(run, label, [binary, "-F", "-c", ini, "-y", conf])
    wait_for(run / f"{label}.sock", process, log)
    return process


def start_nginx(run, user):
    """Starts one nginx with a port for each server and mode; returns it and the addresses."""
    ports = iter(free_ports(len(SERVERS) * len(MODES)))
    urls, sites = {}, ""
    for name in SERVERS:
        for mode in MODES:
            port = next(ports)
            urls[name, mode] = f"http://127.0.0.1:{port}/hello.php"
            keep = mode == "keep"
            sites += f"""
    upstream {name}-{mode} {{ server unix:{run}/{name}-{mode}.sock; {"keepalive 32;" if keep else ""} }}
    server {{
        listen 127.0.0.1:{port};
        root {run}/site;
        location ~ \\.php$ {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_pass {name}-{mode};
            fastcgi_keep_conn {"on" if keep else "off"};
        }}
    }}"""
    conf = run / "nginx.conf"
    temp = "".join(f"    {kind}_temp_path {run}/nginx-{kind};\n" for kind in ("client_body", "fastcgi", "proxy", "uwsgi", "scgi"))
    conf.write_text(
        f"{f'user {user};' if os.geteuid() == 0 else ''}\ndaemon off;\nworker_processes 1;\npid {run}/nginx.pid;\n"
        f"error_log {run}/nginx.error.log;\nevents {{ worker_connections 1024; }}\nhttp {{\n    access_log off;\n"
        f"    keepalive_requests 1000000000;\n{temp}{sites}\n}}\n"
    )
    process, log = start(run, "nginx", ["nginx", "-e", run / "nginx.error.log", "-p", run, "-c", conf])
    wait_for(run / "nginx.pid", process, log)
    return process, urls


def free_ports(count):
    """Ports of 127.0.0.1 that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def load(url, seconds, concurrency):
    """Loads an address with wrk; returns requests, requests per second, and the latencies p50 and p99 in microseconds."""
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "--latency", url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count = int(re.search(r"(\d+) requests in ", out)[1])
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", out)[1])
    if count == 0 or "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"requests failed, so these rounds are worth nothing:\n{out}")
    scale = {"us": 1, "ms": 1e3, "s": 1e6}
    p = {q: float(n) * scale[u] for q, n, u in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)", out, re.M)}
    return count, rate, p["50"], p["99"]


def modules(binary, ini):
    """The names of a server's extensions."""
    out = subprocess.run([binary, "-c", ini, "-m"], capture_output=True, text=True, check=True).stdout
    return {line for line in out.splitlines() if line and not line.startswith("[")}


def version(binary):
    return subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stdout.split("\n")[0]


def describe(args, binaries, run):
    """What was compared, and where: for whoever reads the figures later."""
    cpu = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    ftm, fpm = (modules(binary, run / f"{name}-keep.ini") for name, binary in binaries.items())
    return (
        f"machine: {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.2f} at the start\n"
        f"php-ftm: {version(args.php_ftm)}; only it has {', '.join(sorted(ftm - fpm)) or 'nothing'}\n"
        f"php-fpm: {version(args.php_fpm)}; only it has {', '.join(sorted(fpm - ftm)) or 'nothing'}\n"
        f"load: wrk, {args.concurrency} connections, {args.rounds} rounds of {args.seconds} s, one nginx worker; "
        f"{args.workers} workers each, opcache on; wrk and nginx share the machine's CPUs with the server\n"
    )


def summary(rounds):
    """Medians of each server and mode, the medians of the rounds' ratios, and whether the machine was quiet."""
    text, noisy = "", False
    for mode in MODES:
        text += f"\n{'new connection each' if mode == 'close' else 'connections kept'}\n"
        text += f"{'':10}{'requests/s':>12}{'spread':>8}{'CPU us/request':>16}{'p50 us':>9}{'p99 us':>9}\n"
        mine = {name: [r for r in rounds if r.mode == mode and r.server == name] for name in SERVERS}
        for name, found in mine.items():
            rates = [r.per_second for r in found]
            spread = (max(rates) - min(rates)) / statistics.median(rates)
            noisy |= name == "php-fpm" and spread > QUIET
            median = {f: statistics.median(getattr(r, f) for r in found) for f in ("per_second", "cpu_us", "p50_us", "p99_us")}
            text += (
                f"{name:10}{median['per_second']:12.0f}{spread:8.1%}{median['cpu_us']:16.1f}"
                f"{median['p50_us']:9.0f}{median['p99_us']:9.0f}\n"
            )
        pairs = list(zip(mine["php-ftm"], mine["php-fpm"]))
        rate = statistics.median(a.per_second / b.per_second for a, b in pairs)
        cpu = statistics.median(a.cpu_us / b.cpu_us for a, b in pairs)
        text += f"{'ratio':10}{rate:12.3f}{'':8}{cpu:16.3f}   (php-ftm / php-fpm, median of the rounds)\n"
    if noisy:
        text += f"\nThe machine was too noisy: php-fpm's own rounds lie more than {QUIET:.0%} apart. Do not quote these figures.\n"
    return text


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench hello")
    parser.add_argument("--php-ftm", required=True)
    parser.add_argument("--php-fpm", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7, help="of each server and mode; 5 or more")
    parser.add_argument("--seconds", type=int, default=8, help="length of a round")
    parser.add_argument("--concurrency", type=int, default=16, help="connections of the load")
    parser.add_argument("--workers", type=int, help="PHP threads, or processes, of each server (default: as many as connections)")
    args = parser.parse_args()
    if args.rounds < 5 or args.seconds < 1:
        parser.error("a comparison takes 5 rounds of a second at least")
    args.workers = args.workers or args.concurrency
    if args.workers < args.concurrency:
        parser.error("php-fpm gives each kept connection a process of its own: as many workers as connections, at least")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    run = Path(tempfile.mkdtemp(prefix="php-ftm-bench."))
    run.chmod(0o755)
    user = "www-data" if "www-data" in (entry.pw_name for entry in pwd.getpwall()) else "nobody"
    binaries = {"php-ftm": args.php_ftm, "php-fpm": args.php_fpm}
    processes = []
    rounds = []
    try:
        (run / "site").mkdir()
        (run / "site/hello.php").write_text('<?php echo "Hello, world\\n";\n')
        servers = {}
        for name, binary in binaries.items():
            for mode in MODES:
                servers[name, mode] = start_php(run, name, mode, binary, args.workers, user)
                processes.append(servers[name, mode])
        nginx, urls = start_nginx(run, user)
        processes.append(nginx)
        described = describe(args, binaries, run)
        print(described, flush=True)

        for url in urls.values():
            load(url, 2, args.concurrency)
        for number in range(1, args.rounds + 1):
            for mode in MODES:
                # Each goes first as often as the other.
                for name in SERVERS if number % 2 else reversed(SERVERS):
                    master = servers[name, mode].pid
                    before = cpu_us(master)
                    requests, rate, p50, p99 = load(urls[name, mode], args.seconds, args.concurrency)
                    cpu = (cpu_us(master) - before) / requests
                    rounds.append(Round(number, mode, name, requests, rate, cpu, p50, p99))
                    print(f"round {number}/{args.rounds} {mode:6}{name:9}{rate:9.0f}/s {cpu:8.1f} us", file=sys.stderr)
        told = summary(rounds)
        print(told)
        (args.results / "summary.txt").write_text(described + told)
        for kept in (*run.glob("*.conf"), *run.glob("*.ini")):
            shutil.copy(kept, args.results)
    finally:
        stop_all(processes)
        shutil.rmtree(run)
        with (args.results / "rounds.csv").open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(field.name for field in fields(Round))
            writer.writerows(astuple(r) for r in rounds)
    print(f"each round's figures: {args.results}")


if __name__ == "__main__":
    main()
