"""``python -m mailer.simulator``: turns flags into ``Options``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from mailer.simulator import fault_file
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.faults import KINDS, Fault
from mailer.simulator.latency import Latency
from mailer.simulator.server import Options, run
from mailer.simulator.terms import ENFORCEMENT, Terms

_LAST_PORT = 65_535


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line: the usage of forty options would hide it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}. {self.prog} --help shows all options\n")


class _WithDefaults(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.default not in (None, False, "", [], argparse.SUPPRESS)
        return f"{action.help or ''} [%(default)s]".lstrip() if shown else action.help


def main(arguments: list[str] | None = None, prog: str = "python -m mailer.simulator") -> None:
    parser = _parser(prog)
    given = parser.parse_args(arguments)
    try:
        options = _options(given)
    except ValueError as error:
        parser.error(str(error))
    problem: BaseException | None = None
    try:
        run(options)
    except* OSError as group:
        problem = group.exceptions[0]
    if problem is not None:
        parser.error(f"it cannot listen or read its files: {problem}")


def _options(given: argparse.Namespace) -> Options:
    return Options(
        host=given.host,
        port=given.port,
        smtp_port=given.smtp_port,
        smtps_port=given.smtps_port,
        smtp_idle_seconds=given.smtp_idle_seconds,
        smtp_insecure=given.smtp_insecure,
        tls=given.tls,
        terms=Terms(
            rate=given.rate,
            quota=given.quota,
            bucket=given.bucket,
            control_rate=given.control_rate,
            sending_enabled=not given.paused,
            enforcement=given.enforcement,
            sandbox=given.sandbox,
            verified=frozenset(filter(None, given.verified)) if given.verified else None,
        ),
        region=given.region,
        secrets=dict(_secret(text) for text in given.secret),
        latency=Latency.parse(given.latency),
        faults=(
            *(Fault.parse(text) for text in given.fault),
            *(fault for path in given.faults for fault in fault_file.load(path)),
        ),
        outcomes=Outcomes.parse(given.outcomes),
        destinations=(
            *(Destination.parse("webhook", text) for text in given.webhook),
            *(Destination.parse("queue", text) for text in given.queue),
        ),
        keep=given.keep,
        keep_bytes=given.keep_bytes,
        keep_rows=given.keep_rows,
        row_tag=given.row_tag,
        configuration_sets=tuple(dict.fromkeys(given.configuration_set)),
        seed=given.seed,
        ready_file=given.ready_file,
        stop_with_stdin=given.stop_with_stdin,
        allow_remote=given.allow_remote,
        allow_host=tuple(given.allow_host),
        allow_user=tuple(user for text in given.allow_user for user in text.split(",") if user),
        allow_webhook=tuple(given.allow_webhook),
        connections=given.connections,
        http_idle_seconds=given.http_idle_seconds,
    )


def _secret(text: str) -> tuple[str, str]:
    key, colon, secret = text.partition(":")
    if not (key and colon and secret):
        raise ValueError("--secret is ACCESS_KEY_ID:SECRET_ACCESS_KEY")
    return key, secret


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use 0 to {_LAST_PORT}")
    return int(text)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=prog, description="Amazon SES, simulated.", formatter_class=_WithDefaults)
    add = parser.add_argument

    add("--host", default="127.0.0.1", help="loopback only, unless --allow-remote")
    add("--port", type=_port, default=9025, help="HTTP: the SES API and /_sim/; 0 takes a free one")
    add("--smtp-port", type=_port, help="SMTP with STARTTLS; 0 takes a free one; without it no SMTP")
    add("--smtps-port", type=_port, help="SMTP with TLS from the start")
    add("--smtp-idle-seconds", type=float, default=10.0, help="an idle SMTP connection is closed after so long")
    add("--smtp-insecure", action="store_true", help="SMTP without TLS and AUTH, which SES never allows")
    add("--tls", action="store_true", help="HTTPS, with a certificate made at start")
    add("--allow-remote", action="store_true", help="listen on other than loopback: anyone can read the mail")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which it is reached, besides loopback's and the address it listens on; no other is answered",
    )
    add(
        "--allow-user",
        action="append",
        default=[],
        metavar="NAME[,NAME...]",
        help="users of this host who may read and change all of it, besides the one who runs it and root",
    )
    add("--connections", type=int, default=2000, help="open at once over HTTP, and as many over SMTP")
    add(
        "--http-idle-seconds",
        type=float,
        default=60.0,
        help="how long an HTTP client may keep a connection waiting, idle or in the middle of a request",
    )
    add("--ready-file", type=Path, help="write the ready line there too")
    add("--stop-with-stdin", action="store_true", help="end when standard input ends")

    account = parser.add_argument_group("the account (of each Region)").add_argument
    account("--rate", type=float, default=14.0, help="recipients per second")
    account("--quota", type=float, default=50_000.0, help="recipients per rolling 24 hours; -1 for none")
    account("--bucket", type=float, help="burst in recipients [the larger of 1 and the rate]")
    account(
        "--control-rate",
        type=float,
        default=1.0,
        help="how often a second each call that is no send may come; 0 for no limit",
    )
    account("--sandbox", action="store_true", help="only to --verified and the mailbox simulator")
    account(
        "--verified",
        action="append",
        help="a verified address or domain; without any, all senders are; an empty one makes it none",
    )
    account("--paused", action="store_true", help="sending disabled")
    account("--enforcement", choices=ENFORCEMENT, default="HEALTHY", help="what SES holds of the account")
    account("--configuration-set", action="append", default=[], metavar="NAME", help="one that is there at the start")
    account("--region", default="us-east-1", help="of unsigned requests and of SMTP without a secret")
    account("--secret", action="append", default=[], metavar="KEY:SECRET", help="check signatures and passwords")

    trouble = parser.add_argument_group("trouble").add_argument
    trouble("--latency", default="0s", help="20ms, uniform:10ms-50ms or lognormal:20ms/0.5 (median/sigma)")
    trouble(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[,FIELD=VALUE...]",
        help=f"{', '.join(KINDS)}; with when=before|after (the message is accepted), probability=, count=, seconds=, "
        "every=, error=, status=, recipient=, transport=, bytes_per_second=...",
    )
    trouble("--faults", action="append", default=[], type=Path, metavar="FILE", help="the same from TOML or JSON")
    trouble("--seed", type=int, help="make probabilities and ids repeat")

    events = parser.add_argument_group("events").add_argument
    events(
        "--outcomes",
        default="",
        metavar="NAME=VALUE,...",
        help="probabilities bounce, soft_bounce, complaint, reject, delay and repeat; times send_after, "
        "delivery_after, bounce_after, complaint_after and delay_after, as 2s or lognormal:2s/0.5",
    )
    events(
        "--webhook",
        action="append",
        default=[],
        metavar="URL[,FIELD=VALUE...]",
        help="post events there as signed SNS messages; with signature_version=2, raw=true, confirm=false, "
        "format=notification, events=Bounce+Complaint, configuration_set=, retries=, retry_seconds=",
    )
    events(
        "--allow-webhook",
        action="append",
        default=[],
        metavar="HOST",
        help="the control API may set webhooks to this host, besides loopback and those above",
    )
    events(
        "--queue",
        action="append",
        default=[],
        metavar="NAME[,FIELD=VALUE...]",
        help="put events into this queue, for SQS clients at the same address; with the same fields",
    )

    memory = parser.add_argument_group("memory").add_argument
    memory("--keep", type=int, default=10_000, help="whole messages, and four times as many events")
    memory("--keep-bytes", type=int, default=256 * 1024 * 1024, help="bytes of whole messages")
    memory("--keep-rows", type=int, default=1_000_000, help="short rows, about 150 bytes each")
    memory("--row-tag", default="message-id", help="the message tag whose value a row keeps")
    return parser


if __name__ == "__main__":
    main()
