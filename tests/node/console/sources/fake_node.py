"""A node's API by hand, for sources to read."""

import asyncio
import contextlib
import json
from urllib.parse import unquote

from node.console.sources.http_source import HttpSource


class Node:
    """An HTTP server by hand, so that it can break off where no server would."""

    def __init__(self, lines):
        self.lines, self.requests, self.status = lines, [], 200
        self.records, self.log_status = [], 200
        self.let_go = asyncio.Event()  # a stream that is not held breaks off at once
        self.let_go.set()

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[16:]) for line in head.splitlines() if line.lower().startswith("content-length: ")), 0)
        body = (await reader.readexactly(length)).decode() if length else ""
        self.requests.append((head.splitlines()[0], head, body))
        if "/v1/logs" in head:
            self.answer(writer, self.log_status, self.log(head))
        elif "/v1/topology" in head:
            self.answer(writer, 200, b'{"edges": [["press-1", "press-2"]]}')
        elif self.status != 200 or "POST" in head:
            self.answer(writer, self.status, b'{"detail": "no such peer \\u001b[2J", "remedy": "Look at the list."}')
        else:
            after = int(head.split("after=")[1].split()[0])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for number, line in enumerate(self.lines, 1):
                if 100 * number > after:
                    writer.write(b"id: %d\ndata: %s\n\n" % (100 * number, line))
            await writer.drain()
            await self.let_go.wait()
        with contextlib.suppress(OSError):
            writer.close()

    def log(self, head):
        """What the API answers: records at the time that is asked for or later."""
        if self.log_status != 200:
            return b'{"detail": "this token is not for the log"}'
        since = unquote(head.split("since=")[1].split("&")[0])
        records = [record for record in self.records if record["timestamp"] >= since]
        return json.dumps({"records": records, "complete": True}).encode()

    def answer(self, writer, status, body):
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)


@contextlib.asynccontextmanager
async def served(node):
    """A source of `node`, while it answers."""
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    async with server:
        yield HttpSource(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "gv_secret")
        node.let_go.set()
