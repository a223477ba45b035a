"""``mailer pause`` and ``mailer resume``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from mailer.cli import moments
from mailer.cli.account import open_redis, who
from mailer.cli.application import prints
from mailer.cli.options import Json, OneLane, Until
from mailer.cli.printed import tell
from mailer.document import When
from mailer.operations.status import read_status
from mailer.queue import pause as pausing
from mailer.queue.keys import Keys


@dataclass(frozen=True, slots=True)
class Paused:
    """``lane`` is None for the whole account, ``until`` for a pause that a person has to end."""

    account: str
    lane: str | None
    reason: str
    by: str
    until: When | None

    def __str__(self) -> str:
        end = f" until {moments.shown(self.until)}" if self.until else ""
        return f"{_what(self.account, self.lane)} is paused{end}."


@dataclass(frozen=True, slots=True)
class Resumed:
    """``lane`` is None for the whole account. ``resumed`` is false if it was not stopped. ``still_paused`` are the
    lanes that were paused by themselves.
    """

    account: str
    lane: str | None
    resumed: bool
    still_paused: list[str]

    def __str__(self) -> str:
        lines = [f"{_what(self.account, self.lane)} {'sends again' if self.resumed else 'was not stopped'}."]
        return "\n".join(
            lines + [f"Lane {name} stays paused: mailer resume --lane {name}" for name in self.still_paused]
        )


@prints(Paused)
def pause(
    reason: Annotated[str, Option(help="Why: `mailer status` and the workers' logs show it.")],
    lane: OneLane = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Stop sending: the whole account, or one lane.

    Sends in progress still go out. The pause holds for the workers on every host, and over restarts, until
    `mailer resume` or the given time. Messages can be enqueued meanwhile.
    """
    end, by = None if until is None else moments.ahead("--until", until), who()
    with open_redis() as (client, settings):
        checked = None if lane is None else settings.lanes.check(lane)
        ends = pausing.pause(client, Keys.of(settings), reason=reason, lane=checked, until=end, by=by)
    tell(Paused(settings.account, lane, reason, by, ends), as_json=as_json)


@prints(Resumed)
def resume(lane: OneLane = None, as_json: Json = False) -> None:
    """Send again what was paused, and try again what SES has stopped.

    The whole account: paused by a person, stopped by SES, or parked because others have used up the quota. A lane that
    was paused by itself stays so: resume it with --lane.
    """
    with open_redis() as (client, settings):
        checked = None if lane is None else settings.lanes.check(lane)
        changed = pausing.resume(client, Keys.of(settings), settings.lanes, lane=checked)
        waiting = [one.name for one in read_status(client, settings).lanes if one.paused] if lane is None else []
    tell(Resumed(settings.account, lane, changed, waiting), as_json=as_json)


def _what(account: str, lane: str | None) -> str:
    return f"Account {account}" if lane is None else f"Lane {lane} of account {account}"
