"""Refusals: problem+json (RFC 9457) that says what was wrong and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """The body of every refusal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Forbidden",
                    "status": 403,
                    "detail": "the token alice is a viewer's; this needs an operator's",
                    "remedy": "Ask whoever runs the node for a token: grapevine token make NAME --role operator",
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str = Field(description="Of the status.")
    status: int
    detail: str = Field(description="What was wrong with this request.")
    remedy: str = Field(default="", description="What to do.")


class Refusal(Exception):  # noqa: N818 - as RFC 9457 has it, a problem of the request
    """A request that is not answered as asked."""

    def __init__(self, status: int, problem: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem
        self.remedy = remedy
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """As problem+json. ASCII: what it quotes of the request may be no Unicode text."""
        return json.dumps(
            {
                "type": "about:blank",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.problem,
                "remedy": self.remedy,
            }
        ).encode()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of an endpoint, for its OpenAPI entry."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
