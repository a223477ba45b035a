"""Routes of the control API, and the requests and answers on them. A wrong request gets 400 with the remedy."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from mailer.simulator.errors import Refused
from mailer.simulator.exchange import Reply
from mailer.simulator.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from mailer.simulator.exchange import Request

MOST_PER_PAGE = 10_000
_MOST_DIGITS = 15  # as many as a float and the quota's counters hold
_MOST_FIELDS = 100
_WHOLE = re.compile(r"-?\d+", re.ASCII)
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)


class NotThere(Exception):
    """The path leads nowhere. The text says what is not there."""


class Call:
    """One request. ``path`` has the members in its path, decoded."""

    def __init__(self, request: Request, path: Mapping[str, str]) -> None:
        self.request = request
        self.path = path
        self.query = dict(
            parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        )

    def text(self, name: str, default: str = "") -> str:
        return self.query.get(name, default)

    def whole(self, name: str, default: int = 0) -> int:
        text = self.query.get(name, str(default))
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"{name} must be a whole number, not {text!r}")
        return _short(text)

    def number(self, name: str) -> float:
        text = self.query.get(name, "0")
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{name} must be a number, not {text!r}")
        return float(text)

    def limit(self, default: int = 100) -> int:
        limit = self.whole("limit", default)
        if not 1 <= limit <= MOST_PER_PAGE:
            raise ValueError(f"limit must be between 1 and {MOST_PER_PAGE}")
        return limit

    def index(self, name: str) -> int:
        """A number in the path."""
        if not self.path[name].isdecimal():
            raise NotThere(f"{self.path[name]!r} is no number")
        return _short(self.path[name])

    def json(self) -> Any:
        try:
            return json.loads(self.request.body, parse_int=_short)
        except json.JSONDecodeError:
            raise ValueError("the body is not JSON") from None
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None

    def json_object(self) -> dict[str, Any]:
        value = self.json()
        if not isinstance(value, dict):
            raise ValueError("the body must be a JSON object")  # noqa: TRY004 - it becomes a 400
        return value


def _short(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number has at most {_MOST_DIGITS} digits")
    return int(digits)


class Route(NamedTuple):
    method: str
    path: Pattern
    answer: Callable[[Call], Awaitable[Reply]]


def route(method: str, path: str, answer: Callable[[Call], Awaitable[Reply]]) -> Route:
    return Route(method, Pattern(path), answer)


async def answered(routes: Iterable[Route], request: Request) -> Reply:
    """The answer of the first route that matches. A HEAD is answered as a GET."""
    method = "GET" if request.method == "HEAD" else request.method
    allowed = []
    try:
        for each in routes:
            members = each.path.match(request.path)
            if members is not None and each.method == method:
                return await each.answer(Call(request, members))
            if members is not None:
                allowed.append(each.method)
    except NotThere as error:
        return as_json({"error": str(error)}, 404)
    except (ValueError, Refused) as error:
        return as_json({"error": str(error)}, 400)
    status = HTTPStatus.METHOD_NOT_ALLOWED if allowed else HTTPStatus.NOT_FOUND
    headers = {"Allow": ", ".join(allowed)} if allowed else None
    return as_json({"error": status.phrase}, status, headers)


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """In ASCII: a message may hold a lone surrogate, which JSON can carry and UTF-8 cannot."""
    return Reply(status, json.dumps(value).encode(), headers=headers)


NO_CONTENT = Reply(204, b"")
