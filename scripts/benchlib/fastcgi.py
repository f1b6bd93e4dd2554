"""Requests straight to a server's socket, see the FastCGI specification, section 3.3."""

import struct
import sys

BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDERR = 1, 3, 4, 5, 7
RESPONDER, KEEP_CONN = 1, 1


def record(kind, content=b""):
    """A record of request 1."""
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def request(script, query="", keep=False):
    """A whole GET request; names and values are shorter than 128 bytes."""
    params = {
        "SCRIPT_FILENAME": str(script), "SCRIPT_NAME": f"/{script.name}", "REQUEST_METHOD": "GET", "QUERY_STRING": query,
        "REQUEST_URI": f"/{script.name}?{query}", "DOCUMENT_ROOT": str(script.parent), "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost", "SERVER_NAME": "localhost", "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1",
    }
    pairs = b"".join(bytes([len(name), len(value)]) + (name + value).encode() for name, value in params.items())
    begin = record(BEGIN_REQUEST, struct.pack("!HB5x", RESPONDER, KEEP_CONN if keep else 0))
    return begin + record(PARAMS, pairs) + record(PARAMS) + record(STDIN)


async def skip_answer(reader):
    """Reads to the end of an answer, which is to be one without an error."""
    while True:
        kind, length, padding = struct.unpack("!xBxxHBx", await reader.readexactly(8))
        content = (await reader.readexactly(length + padding))[:length]
        if kind == END_REQUEST:
            return
        if content and kind == STDERR or content.startswith(b"Status:"):
            sys.exit(f"a page failed: {content.decode(errors='replace')}")
