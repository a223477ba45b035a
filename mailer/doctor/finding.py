"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    NOTE = "note"
    """Mail goes out, but somebody should know."""
    PROBLEM = "problem"
    """Mail is or will be stopped, lost, sent twice or read by others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``about`` names the examined thing, ``text`` says what was found, ``remedy`` what to do (empty if ok)."""

    about: str
    level: Level
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        assert (self.level is Level.OK) == (not self.remedy), self  # noqa: S101 - every other finding needs a remedy


def ok(about: str, text: str) -> Finding:
    return Finding(about, Level.OK, text)


def note(about: str, text: str, remedy: str) -> Finding:
    return Finding(about, Level.NOTE, text, remedy)


def problem(about: str, text: str, remedy: str) -> Finding:
    return Finding(about, Level.PROBLEM, text, remedy)
