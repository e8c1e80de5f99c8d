"""What a node answers, in bounded memory and in words: who answers may be no node."""

from __future__ import annotations

import json
from typing import Final

import httpx

from node.words import plain

MOST_ANSWER_BYTES: Final = 1 << 22


def problem_of(status: int, content: bytes) -> str:
    """What a refusal says, in a line."""
    try:
        problem = json.loads(content[:MOST_ANSWER_BYTES])
        detail, remedy = problem.get("detail"), problem.get("remedy")
    except (ValueError, AttributeError, RecursionError):
        detail = remedy = None
    said = " ".join(str(part) for part in (detail, remedy) if part)
    return plain(said or f"the node answers {status}", 400)


async def bounded(answer: httpx.Response) -> bytes:
    """The first few megabytes of an answer: who serves it may be no node. As they came: nobody asked for them to be
    packed, and a few kilobytes could unpack to a gigabyte before any of it is counted.
    """
    content = b""
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > MOST_ANSWER_BYTES:
            break
    return content
