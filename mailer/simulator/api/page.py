"""Pages of a list: AWS's ``PageSize`` and ``NextToken``."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailer.simulator.api import members
from mailer.simulator.errors import BAD_REQUEST, Refused, SesError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Paging:
    """The paging of one list. ``of`` names the kind of list: a token is valid only for that kind."""

    of: str
    usual: int
    most: int
    size_name: str = "PageSize"
    size_text: str = "The page size must be between 1 and {most}"
    unknown_text: str = "Invalid NextToken <{token}>."
    token_error: SesError = BAD_REQUEST

    def page(self, keys: Sequence[str], call: Mapping[str, Any]) -> tuple[Sequence[str], str | None]:
        """The keys on the requested page, and the token of the next page.

        ``keys`` are in order. A key that is added or removed between two pages neither repeats nor hides the others.
        """
        size = members.whole(call, self.size_name)
        if size is None:
            size = self.usual
        if not 1 <= size <= self.most:
            text = self.size_text.format(most=self.most, size=size)
            raise Refused(BAD_REQUEST.saying(text))
        token = members.optional(call, "NextToken")
        after = self._after(token) if token else ""
        rest = [key for key in keys if key > after]
        return rest[:size], self._token(rest[size - 1]) if len(rest) > size else None

    def _token(self, key: str) -> str:
        return base64.urlsafe_b64encode(f"{self.of}\0{key}".encode(errors="surrogatepass")).decode()

    def _after(self, token: str) -> str:
        try:
            of, _, key = base64.urlsafe_b64decode(token).decode(errors="surrogatepass").partition("\0")
        except (binascii.Error, ValueError):
            of, key = "", ""
        if of != self.of:
            raise Refused(self.token_error.saying(self.unknown_text.format(token=token)))
        return key
