"""Clients beside the load: such as keep idle connections, read slowly, send slowly, or ask for what takes long."""

import asyncio
import socket
import sys
import threading

from . import fastcgi, load

# What a slow client takes or sends at once, and the pause between, in bytes and seconds.
PIECE, PAUSE = 16 << 10, 2.0
UPLOAD = 1 << 20
# So many come at once, so that no queue overflows.
AT_ONCE = 100


class Crowd:
    """As many clients as `clients` has, coroutine functions that are called with what tells that they are in place; they
    stay until the end of the block."""

    def __init__(self, clients):
        self.clients, self.loop = clients, asyncio.new_event_loop()
        self.settled = threading.Event()
        self.lost = None

    def __enter__(self):
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.live(),), daemon=True)
        self.thread.start()
        if not self.settled.wait(load.PATIENCE) or self.lost:
            sys.exit(f"clients beside the load could not be put in place: {self.lost}")
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()
        if self.lost:
            sys.exit(f"clients beside the load were lost, so these rounds are worth nothing: {self.lost!r}")

    async def live(self):
        self.over = asyncio.Event()
        gate, places = asyncio.Semaphore(AT_ONCE), [self.loop.create_future() for _ in self.clients]

        async def one(client, place):
            try:
                async with gate:
                    talk = asyncio.create_task(client(lambda: place.done() or place.set_result(None)))
                    await asyncio.wait([talk, place], return_when=asyncio.FIRST_COMPLETED)
                await talk
                raise EOFError("a client was done before its time")
            except Exception as e:  # whatever it is, the round is worth nothing
                self.lost = e
                place.done() or place.set_result(None)

        tasks = [asyncio.create_task(one(client, place)) for client, place in zip(self.clients, places)]
        await asyncio.gather(*places)
        self.settled.set()
        await self.over.wait()
        lost = self.lost
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.lost = lost


def idle(path, message):
    """A connection to the server's own socket that was used once and is kept."""

    async def client(in_place):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(message)
            await fastcgi.skip_answer(reader)
            in_place()
            await reader.read(1)
        finally:
            writer.close()

    return client


def steady(port, path):
    """Requests one after the other."""
    message = f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode()

    async def client(in_place):
        while True:
            asked = asyncio.ensure_future(load.exchange(port, message))
            try:
                answer = await asyncio.shield(asked)
            except asyncio.CancelledError:
                await asked  # a server would run the script on, beside whatever is measured next
                raise
            if not answer.startswith(b"HTTP/1.1 200"):
                raise OSError(f"a request failed: {answer[:500]!r}")
            in_place()

    return client


def slow_reader(port, path):
    async def client(in_place):
        # A small window, or the kernel would take much of the answer for the client.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        sock.setblocking(False)
        with sock:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            while await loop.sock_recv(sock, PIECE):
                in_place()
                await asyncio.sleep(PAUSE)

    return client


def slow_uploader(port, path):
    async def client(in_place):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            kind = "Content-Type: application/octet-stream"
            writer.write(f"POST {path} HTTP/1.0\r\nHost: x\r\n{kind}\r\nContent-Length: {UPLOAD}\r\n\r\n".encode())
            # More than a server keeps for itself before it runs the script.
            writer.write(bytes(UPLOAD // 2))
            for _ in range(UPLOAD // 2 // PIECE):
                await writer.drain()
                in_place()
                await asyncio.sleep(PAUSE)
                writer.write(bytes(PIECE))
        finally:
            writer.close()

    return client
