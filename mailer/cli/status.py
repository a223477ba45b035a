"""``mailer status``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typer import Option

from mailer.cli.account import open_redis
from mailer.cli.application import prints
from mailer.cli.console import PlainConsole
from mailer.cli.moments import shown
from mailer.cli.options import Json
from mailer.cli.printed import show_json
from mailer.operations.status import AccountStatus, LaneStatus, Quota, Rate, RestingHost, read_status

_STATE_STYLES = {
    "sending": "green",
    "paused": "bold red",
    "stopped": "bold red",
    "parked": "bold yellow",
    "resting": "bold red",
    "unserved": "bold red",
    "unknown": "yellow",
}
_FAR_OFF_DAYS = 180
_CENTURY_SECONDS = 100 * 365.25 * 86_400


@prints(AccountStatus)
def status(
    watch: Annotated[bool, Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, Option(min=0.1, help="Seconds between two looks, with --watch.", metavar="SECONDS")] = 1.0,
    as_json: Json = False,
) -> None:
    """Show what the account may send, and what waits.

    It reads Redis and changes nothing.
    """
    with open_redis() as (client, settings):
        if not watch:
            _print(read_status(client, settings), as_json)
            return
        try:
            if as_json:
                while True:
                    _print(read_status(client, settings), as_json)
                    time.sleep(every)
            first = screen(read_status(client, settings))
            with Live(first, console=PlainConsole(), auto_refresh=False, transient=False) as live:
                while True:
                    time.sleep(every)
                    live.update(screen(read_status(client, settings)), refresh=True)
        except KeyboardInterrupt:
            return


def _print(state: AccountStatus, as_json: bool) -> None:
    if as_json:
        show_json(state)
    else:
        PlainConsole().print(screen(state))


def screen(state: AccountStatus) -> RenderableType:
    """The state for a person."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("account", f"{state.account}")
    facts.add_row("state", _state(state))
    for resting in state.hosts:
        facts.add_row("cannot send", _resting(resting, state.at))
    for difference in state.differences:
        facts.add_row("hosts differ", Text(str(difference), style="yellow"))
    if outlook := _outlook(state):
        facts.add_row("outlook", outlook)
    facts.add_row("rate", rate_line(state.rate, state.at))
    facts.add_row("quota", _quota(state.quota))
    facts.add_row("in flight", _in_flight(state))
    facts.add_row("scheduled", _scheduled(state))
    facts.add_row("dead", Text(f"{state.dead:,}", style="red" if state.dead else ""))
    facts.add_row("held", Text(f"{state.held:,}", style="yellow" if state.held else ""))

    lanes = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    lanes.add_column("lane")
    lanes.add_column("waiting", justify="right")
    lanes.add_column("")
    for lane in state.lanes:
        lanes.add_row(lane.name, f"{lane.waiting:,}", _lane_state(lane))
    return Group(facts, Text(), lanes)


def _state(state: AccountStatus) -> Text:
    text = Text(state.state, style=_STATE_STYLES[state.state])
    if state.paused_by:
        text.append(f" by {state.paused_by}", style="default")
    if state.until is not None:
        text.append(f" until {shown(state.until)}", style="default")
    if state.stop is not None and state.state == "stopped":
        text.append(f" since {shown(state.stop.since)}", style="default")
    if state.reason:
        text.append(f": {state.reason}", style="default")
    if state.state == "paused":
        text.append(" (mailer resume)", style="dim")
    return text


def _resting(host: RestingHost, now: float) -> Text:
    text = Text(host.worker, style="bold red")
    text.append(f" since {shown(host.since)}, tried{_ago(host.tried_at, now)}: {host.why}", style="default")
    text.append(f" ({host.remedy})", style="dim")
    return text


def _lane_state(lane: LaneStatus) -> Text:
    text = Text()
    if lane.suspects:
        text.append(f"{lane.suspects:,} whose worker was lost, one at a time for each worker  ", style="yellow")
    if lane.waiting and lane.unserved_since is not None:
        since = f" since {shown(lane.unserved_since)}" if lane.unserved_since else ""
        text.append(f"served by no worker{since}", style="bold red")
        text.append(f" (mailer worker, or celery control add_consumer {lane.name})  ", style="dim")
    if lane.paused is None:
        return text
    text.append("paused", style="bold red")
    if lane.paused_by:
        text.append(f" by {lane.paused_by}", style="default")
    if lane.paused_until is not None:
        text.append(f" until {shown(lane.paused_until)}", style="default")
    text.append(f": {lane.paused}", style="default")
    text.append(f" (mailer resume --lane {lane.name})", style="dim")
    return text


def _outlook(state: AccountStatus) -> str:
    """Sentences: when sending resumes, and when the backlog is done."""
    if state.stop is not None:
        check = _near(state.stop.next_check_at, state.at)
        return f"Nothing is lost. The workers look {check} whether SES takes mail again, and then go on by themselves."
    forecast = state.forecast
    if forecast is None:
        return ""
    sentences = []
    if state.state == "parked":
        if forecast.resumes_at is None:
            sentences.append(
                f"Others have all of the quota ({state.quota.by_others:,}): sending resumes as theirs ends."
            )
        else:
            leave = f"{forecast.leaving:,} recipients leave" if forecast.leaving != 1 else "1 recipient leaves"
            resumes = _near(forecast.resumes_at, state.at)
            sentences.append(f"Sending resumes {resumes} ({state.quota.used_up}; {leave} the window then).")
    if forecast.done_at is not None:
        done = _near(forecast.done_at, state.at, about=True)
        sentences.append(f"The backlog of {forecast.backlog:,} will be done {done}.")
    if forecast.backlog and state.scheduled:
        sentences.append("Scheduled mail is not counted.")
    if forecast.backlog != state.waiting:
        sentences.append(
            f"{state.waiting - forecast.backlog:,} in lanes that are paused, or that nobody serves, are not counted."
        )
    return " ".join(sentences)


def rate_line(rate: Rate, now: float) -> str:
    """The rate, and its source."""
    if rate.per_second is None or rate.allowed_per_second is None:
        return "not known yet"
    parts = [f"{rate.allowed_per_second:,g} per second allowed now"]
    if rate.headroom or rate.cut < 1:
        parts.append(f"of {rate.per_second:,g}")
    if rate.headroom:
        parts.append(f"headroom {rate.headroom:.0%}")
    if rate.cut < 1:
        parts.append(f"cut to {rate.cut:.0%} since SES refused; it recovers")
    return ", ".join([*parts, *_whose(rate, now)])


def _whose(rate: Rate, now: float) -> Iterator[str]:
    """The source of the rate, and the other known rates."""
    if (person := rate.person) is not None:
        lasts = "until `mailer rate --reset`" if person.until is None else f"until {shown(person.until)}"
        by = f" by {person.by}" if person.by else ""
        yield f"set to {person.per_second:,g}{by} at {shown(person.at)} {lasts}"
        if person.reason:
            yield person.reason
    elif rate.source == "settings":
        yield f"from MAILER_RATE_PER_SECOND of {rate.source_host or 'a host'}"
    if rate.ses_per_second is not None:
        own = "from SES" if rate.source == "ses" else f"SES allows {rate.ses_per_second:,g}"
        yield f"{own}{_ago(rate.read_at, now)}"


def _quota(quota: Quota) -> str:
    used = f"{quota.used:,} used in 24 hours"
    if quota.by_others:
        used += f" ({quota.by_others:,} by others)"
    if quota.per_day is None or quota.left is None:
        return f"{used}, no limit known"
    reserve = f", {quota.reserve:.0%} reserved for the most urgent lane" if quota.reserve else ""
    return f"{used}, {quota.left:,} left of {quota.per_day:,}{reserve}"


def _in_flight(state: AccountStatus) -> Text:
    text = Text(f"{state.in_flight:,}")
    if state.overdue:
        text.append(f" ({state.overdue:,} past their lease: no worker is asking)", style="yellow")
    return text


def _scheduled(state: AccountStatus) -> str:
    return f"{state.scheduled:,}" + (f", the first at {shown(state.next_due_at)}" if state.next_due_at else "")


def _ago(moment: float | None, now: float) -> str:
    return "" if moment is None else f" {max(0, round(now - moment))} s ago"


def _near(moment: float, now: float, *, about: bool = False) -> str:
    """A time in words: the day only if it is not today, and no hour if nobody can know it."""
    if moment - now > _CENTURY_SECONDS:
        return "in more than a hundred years"
    then, today = datetime.fromtimestamp(moment).astimezone(), datetime.fromtimestamp(now).astimezone()
    word = "about" if about else "at"
    if moment - now < 60:
        return "within a minute"
    if then.date() == today.date():
        return f"{word} {then:%H:%M}"
    if (then - today).days > _FAR_OFF_DAYS:
        return f"in {then:%B %Y}"
    return f"on {then:%b} {then.day} {word} {then:%H:%M}"
