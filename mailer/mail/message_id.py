"""Message ids: UUIDs with a counter, so that a million of them take a few bytes."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

LONGEST_ID = 128
"""Characters of a message's id, whoever made it: the same as in bounds.lua."""

_BASE_CHARS = 24  # `xxxxxxxx-xxxx-4xxx-yxxx-`; the 12 digits after it are the counter
_COUNTER = re.compile(r"[0-9a-f]{12}")
_UNCOUNTED = -1  # the number of a foreign id; the run of such an id has the whole id as its base


def new_base() -> str:
    """The first 24 characters of a version 4 UUID. The ids of one send share its 74 random bits."""
    digits = os.urandom(10).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-"


def numbered(base: str, number: int) -> str:
    """The id with ``number`` (below 2**48) under ``base``."""
    return f"{base}{number:012x}" if number >= 0 else base


@dataclass(slots=True)
class _Run:
    start: int  # position in the sequence
    base: str
    number: int
    length: int


def _split(message_id: str) -> tuple[str, int]:
    base, digits = message_id[:_BASE_CHARS], message_id[_BASE_CHARS:]
    if _COUNTER.fullmatch(digits):
        return base, int(digits, 16)
    return message_id, _UNCOUNTED


class MessageIds(Sequence[str]):
    """Ids in order, stored as runs of consecutive numbers. Read-only to callers.

    A send of n messages is one run. A repeated send gets earlier ids back from its idempotency keys. These form runs
    too, if they were first issued in the same order.
    """

    __slots__ = ("_length", "_runs", "_starts")

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._starts: list[int] = []
        self._length = 0

    def _append(self, message_id: str) -> None:
        base, number = _split(message_id)
        last = self._runs[-1] if self._runs else None
        if last and number >= 0 and last.base == base and last.number + last.length == number:
            last.length += 1
        else:
            self._runs.append(_Run(self._length, base, number, 1))
            self._starts.append(self._length)
        self._length += 1

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(self._length))]
        position = index + self._length if index < 0 else index
        if not 0 <= position < self._length:
            raise IndexError(index)
        run = self._runs[bisect_right(self._starts, position) - 1]
        return numbered(run.base, run.number + position - run.start)

    def __iter__(self) -> Iterator[str]:
        for run in self._runs:
            for number in range(run.number, run.number + run.length):
                yield numbered(run.base, number)

    def __repr__(self) -> str:
        return f"<{self._length} message ids>"
