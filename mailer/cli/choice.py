"""Options that choose messages of a shelf: by ids, by filters, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

from mailer.cli import moments
from mailer.cli.options import LANE, WHEN
from mailer.errors import InvalidRequest
from mailer.queue.shelf import Filter, ShelfName, Which


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The typed options, one in each field."""

    lane: Annotated[str | None, Option(help="Only of this lane.", **LANE)] = None
    code: Annotated[str | None, Option(help="Only with this code, as MessageRejected. (dead, held)")] = None
    reason: Annotated[str | None, Option(help="Only with this text in the reason. (dead, held)")] = None
    to: Annotated[str | None, Option(help="Only to this address, or to @example.com.", metavar="ADDRESS")] = None
    before: Annotated[
        str | None,
        Option(
            help="Only those that came here before: 2h (ago) or 2030-01-31T09:00+01:00. Scheduled: due before, 2h "
            "(from now).",
            **WHEN,
        ),
    ] = None
    after: Annotated[str | None, Option(help="Only those that came here (scheduled: are due) after.", **WHEN)] = None

    def filter(self, name: ShelfName) -> Filter:
        """The filter for one place. Raises InvalidRequest for an invalid time."""
        read = moments.hence if name == "scheduled" else moments.ago
        return Filter(
            lane=self.lane,
            code=self.code,
            text=self.reason,
            to=self.to,
            before=None if self.before is None else read("--before", self.before),
            after=None if self.after is None else read("--after", self.after),
        )


@dataclass(frozen=True, kw_only=True)
class Choice(Filters):
    ids: Annotated[list[str] | None, Argument(help="Their ids, as `list` shows them.", metavar="ID")] = None
    everything: Annotated[bool, Option("--all", help="All of them.")] = False

    def which(self, name: ShelfName) -> Which:
        """The chosen messages of one place. Raises InvalidRequest unless they are chosen in one way."""
        filters = self.filter(name)
        given = sum((bool(self.ids), filters != Filter(), self.everything))
        if given == 0:
            raise InvalidRequest("Say which: ids, filters as --lane or --code, or --all")
        if given > 1:
            raise InvalidRequest("Give ids, or filters, or --all: one of the three")
        return self.ids or filters


def described(which: Which) -> str:
    """The choice in words, to put behind a number of messages."""
    if not isinstance(which, Filter):
        return ": " + ", ".join(which if len(which) <= 5 else [*which[:4], "..."])
    given = {"lane": which.lane, "code": which.code, "reason": which.text, "to": which.to}
    parts = [f"{name} {value}" for name, value in given.items() if value is not None]
    parts += [f"{name} {moments.shown(at)}" for name in ("after", "before") if (at := getattr(which, name))]
    return f" ({', '.join(parts)})" if parts else ""
