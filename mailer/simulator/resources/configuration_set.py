"""Configuration sets by name, with the options from their creation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailer.simulator.errors import (
    BAD_REQUEST,
    CONFIGURATION_SET_EXISTS,
    CONFIGURATION_SET_MISSING,
    CONFIGURATION_SET_PAUSED,
    LIMIT,
    Refused,
    SesError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST = 10_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class ConfigurationSet:
    """``options`` are stored as given, only to be read back. Only ``sending_enabled`` changes what SES does."""

    name: str
    sending_enabled: bool = True
    tags: list[Mapping[str, Any]] = field(default_factory=list)
    options: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class ConfigurationSets:
    def __init__(self) -> None:
        self._by_name: dict[str, ConfigurationSet] = {}

    def __iter__(self) -> Iterator[ConfigurationSet]:
        return iter(self._by_name.values())

    def create(self, made: ConfigurationSet) -> None:
        if not _NAME.fullmatch(made.name):
            text = f"Invalid configuration set name <{made.name}>: only alphanumeric ASCII characters, '_', and '-'"
            raise Refused(BAD_REQUEST.saying(f"{text} are allowed, at most 64."))  # U
        if made.name in self._by_name:
            raise Refused(CONFIGURATION_SET_EXISTS.about(made.name))
        if len(self._by_name) >= _MOST:
            raise Refused(LIMIT)
        self._by_name[made.name] = made

    def get(self, name: str) -> ConfigurationSet:
        found = self._by_name.get(name)
        if found is None:
            raise Refused(CONFIGURATION_SET_MISSING.about(name))
        return found

    def delete(self, name: str) -> None:
        self.get(name)
        del self._by_name[name]

    def refusal(self, name: str) -> SesError | None:
        """Why nothing can be sent with the set ``name``. None if it can."""
        found = self._by_name.get(name)
        if found is None:
            return CONFIGURATION_SET_MISSING.about(name)
        return None if found.sending_enabled else CONFIGURATION_SET_PAUSED.about(name)
