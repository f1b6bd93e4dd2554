"""Starts and ends what a benchmark runs."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time

# How long a server may take to start, in seconds.
PATIENCE = 60


def start(run, name, command, env=None):
    """Starts a server in a session of its own, with its output in a log; returns both."""
    log = run / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env={**os.environ, **(env or {})}
        )
    return process, log


def wait_until(ready, process, log):
    """Waits until `ready()` is true, as long as the server lives."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"a server did not start:\n{log.read_text()}")
        time.sleep(0.02)


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
        process.wait()


def free_port():
    """A port of 127.0.0.1 that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def user():
    """Whom scripts and nginx run as where root starts them."""
    return "www-data" if "www-data" in (entry.pw_name for entry in pwd.getpwall()) else "nobody"
