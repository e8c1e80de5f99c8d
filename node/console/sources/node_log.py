"""The log of a live node through its API: asked for while somebody looks at it, at a rate that the node allows."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any, Final

import httpx

from node.console.desk import Desk
from node.console.sources.answers import bounded, problem_of

EVERY_S: Final = 2.5
"""The node answers one in two seconds, with a few in reserve."""
REFUSED_S: Final = 30.0
"""After a refusal: each is a line in the log of the node."""
LOOK_S: Final = 0.2
"""How soon it is seen that somebody looks."""
MOST_RECORDS: Final = 1000
MOST_STAMP: Final = 40
MOST_KNOWN: Final = 10_000
"""Of one time: a node that had more in a microsecond tells some of them twice."""


class NodeLog:
    """Asks for what is new since the last answer, over broken connections."""

    def __init__(self) -> None:
        self._since = ""
        """Time of the newest record that is known, as the node wrote it."""
        self._newest: frozenset[bytes] = frozenset()
        """What is known of that time: the node tells it again."""

    async def follow(self, client: httpx.AsyncClient, desk: Desk) -> None:
        """Until cancelled, while `Desk.reads_log`."""
        while True:
            if not (desk.reads_log and desk.current):
                await asyncio.sleep(LOOK_S)
                continue
            if desk.current not in desk.records:  # nothing of it, or nothing any more
                self._since, self._newest = "", frozenset()
            wait = EVERY_S
            try:
                desk.note(desk.current, await self._ask(client))
                desk.tell_log("")
            except (httpx.HTTPError, RecursionError):
                pass  # the stream of events tells that the node is gone, or no node, and whether it comes back
            except _Refused as refused:
                desk.tell_log(str(refused))
                wait = REFUSED_S
            await asyncio.sleep(wait)

    async def _ask(self, client: httpx.AsyncClient) -> list[dict[str, Any]]:
        """Records that are new, oldest first. Raises `_Refused` where the node gives none."""
        asked: dict[str, str | int] = {"level": "debug", "since": self._since, "limit": MOST_RECORDS}
        async with client.stream("GET", "/v1/logs", params=asked) as answer:
            content = await bounded(answer)
        if answer.status_code != httpx.codes.OK:
            raise _Refused(problem_of(answer.status_code, content))
        new = [record for record in records_of(content) if _key(record) not in self._newest]
        if new:
            since = new[-1]["timestamp"]
            same = {_key(record) for record in new if record["timestamp"] == since}
            known = same | self._newest if since == self._since else same
            self._newest = frozenset(known if len(known) <= MOST_KNOWN else same)
            self._since = since
        return new


class _Refused(Exception):  # noqa: N818 - the node's refusal, not ours
    """The node answers, and gives no log."""


def records_of(content: bytes) -> list[dict[str, Any]]:
    """The records of an answer; none of one that is no answer of a node."""
    try:
        found = json.loads(content)["records"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [record for record in found[-MOST_RECORDS:] if _is_record(record)] if isinstance(found, list) else []


def _is_record(record: object) -> bool:
    stamp = record.get("timestamp") if isinstance(record, dict) else None
    # ASCII: it is sent back as it is, and not all that JSON calls text can be.
    return isinstance(stamp, str) and len(stamp) <= MOST_STAMP and stamp.isascii()


def _key(record: dict[str, Any]) -> bytes:
    """What stands for it: records may be long, and of one time there may be many."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).digest()
