"""Paths with members, as both APIs under HTTP write them."""

from __future__ import annotations

import re
from urllib.parse import unquote


class Pattern:
    """A path in which ``{name}`` stands for a member."""

    def __init__(self, path: str) -> None:
        self._pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))

    def match(self, path: str) -> dict[str, str] | None:
        """The members in the path, decoded. None if it does not match."""
        found = self._pattern.fullmatch(path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}
