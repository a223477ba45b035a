"""JSON for every route of the control API. A wrong request gets 400 with the remedy."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_PER_PAGE = 10_000
_MOST_DIGITS = 15  # as many as a float and the quota's counters hold


class WrongRequest(Exception):
    """A request that gets a 400. The text says what to change."""


class Json(JSONResponse):
    """JSON in ASCII. A message may hold a lone surrogate, which JSON can carry and UTF-8 cannot."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


async def json_value(request: Request) -> Any:
    try:
        return json.loads(await request.body(), parse_int=_whole)
    except (ValueError, RecursionError):
        raise WrongRequest("the body is not JSON") from None


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise WrongRequest(f"a whole number has at most {_MOST_DIGITS} digits")
    return int(digits)


async def json_object(request: Request) -> dict[str, Any]:
    value = await json_value(request)
    if not isinstance(value, dict):
        raise WrongRequest("the body must be a JSON object")
    return value


def page_limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= MOST_PER_PAGE:
        raise WrongRequest(f"limit must be between 1 and {MOST_PER_PAGE}")
    return limit


def say(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    return Json({"error": detail or HTTPStatus(status).phrase}, status_code=status)


def say_wrong(_request: Request, error: Exception) -> Response:
    return Json({"error": str(error)}, status_code=400)
