"""The load: wrk as long as it lasts, or so many uploads."""

import asyncio
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import figures

LUA = Path(__file__).resolve().parent / "load.lua"
# How long a client waits for an answer, in seconds.
PATIENCE = 60


@dataclass
class Outcome:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float

    @property
    def per_second(self):
        return self.requests / self.seconds


def first(url):
    """The first request, which may take long: its scripts are compiled."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        answer.read()


def wrk(url, seconds, concurrency, body=0):
    """Requests one after the other on each of `concurrency` connections; with a body of so many bytes."""
    return finish_wrk(start_wrk(url, seconds, concurrency, body))


def start_wrk(url, seconds, concurrency, body=0):
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", f"--timeout={PATIENCE}s", "-s", LUA, url, "--"]
    command += [str(body)] if body else []
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish_wrk(process):
    out = process.communicate()[0]
    found = re.search(r"^FIGURES (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", out, re.M)
    if not found or found[1] == "0" or found[3] != "0":
        sys.exit(f"requests failed, so these rounds are worth nothing:\n{out}")
    requests, duration, _, p50, p99, p999 = (int(n) for n in found.groups())
    return Outcome(requests, duration / 1e6, p50, p99, p999)


def uploads(port, path, size, count, concurrency):
    """So many uploads of a file, `concurrency` at a time: time would run out before the first of 256 is done."""
    return asyncio.run(run_uploads(port, path, size, count, concurrency))


async def run_uploads(port, path, size, count, concurrency):
    boundary = "php-ftm-bench"
    disposition = 'Content-Disposition: form-data; name="file"; filename="f"'
    head = f"--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + bytes(size) + f"\r\n--{boundary}--\r\n".encode()
    message = memoryview(
        f"POST {path} HTTP/1.0\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    )
    left, times = count, []

    async def client():
        nonlocal left
        while left > 0:
            left -= 1
            began = time.monotonic()
            answer = await exchange(port, message)
            if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(f"\n{size}\n".encode()):
                sys.exit(f"an upload failed, so these rounds are worth nothing: {answer[:500]!r}")
            times.append((time.monotonic() - began) * 1e6)

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    seconds = time.monotonic() - began
    return Outcome(count, seconds, *(figures.percentile(times, part) for part in (0.5, 0.99, 0.999)))


async def exchange(port, message):
    """Sends a request and returns the whole answer, on a connection of its own."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        # Without the copies that a stream's own buffer makes of large messages.
        with writer.get_extra_info("socket").dup() as socket:
            socket.setblocking(False)
            await loop.sock_sendall(socket, message)
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()
