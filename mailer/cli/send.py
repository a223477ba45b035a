"""``mailer send``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mailer.cli import options
from mailer.cli.application import new_app
from mailer.errors import InvalidMessage
from mailer.producer.producer import Producer
from mailer.settings import current

app = new_app()


@app.command("send")
def send(
    to: Annotated[list[str], typer.Option(help="To whom. May be repeated: each gets a message of their own.")],
    sender: Annotated[
        str | None,
        typer.Option(help="From whom: user@example.com or `'Name <user@example.com>'`.", show_default=False),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The subject line.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option(help="The plain text.", show_default=False)] = None,
    html: Annotated[str | None, typer.Option(help="The HTML.", show_default=False)] = None,
    text_file: Annotated[
        Path | None, typer.Option(help="A file with the plain text.", exists=True, dir_okay=False, show_default=False)
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option(help="A file with the HTML.", exists=True, dir_okay=False, show_default=False)
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            help="A file with the whole mail in MIME, which is sent as it is.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    attach: options.Attach = None,
    lane: options.Lane = None,
    send_at: options.SendAt = None,
    expires_at: options.ExpiresAt = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Whoever had a message under this key within 24 hours gets none.", show_default=False),
    ] = None,
    reply_to: options.ReplyTo = None,
    tag: options.Tag = None,
    header: options.Header = None,
    configuration_set: options.ConfigurationSet = None,
    list_unsubscribe: options.ListUnsubscribe = None,
    durable: options.Durable = False,
) -> None:
    """Send one message to each of a few recipients.

    Prints their ids. A message is in the queue when this returns, and goes out as soon as the account allows. Without
    --lane it takes the most urgent one.
    """
    common: dict[str, Any] = {
        "lane": lane,
        "send_at": options.moment("--send-at", send_at),
        "expires_at": options.moment("--expires-at", expires_at),
        "idempotency_key": idempotency_key,
        "configuration_set": configuration_set,
        "durable": durable,
    }
    fields = {
        "subject": subject,
        "text": _one_of("text", text, text_file),
        "html": _one_of("html", html, html_file),
        "reply_to": reply_to,
        "headers": options.pairs("header", header),
        "attachments": options.attachments(attach),
        "list_unsubscribe": list_unsubscribe,
    }
    given = {name: value for name, value in fields.items() if value}
    tags = options.pairs("tag", tag)
    if raw is None:
        _check_complete(given | {"sender": sender, "subject": subject})
        call = partial(Producer.send, to=to, sender=sender, **({"subject": subject} | given), tags=tags, **common)
    elif given:
        raise InvalidMessage(next(iter(given)), "is given beside --raw", "It is in the file: leave one of them out")
    else:
        mail = options.read("raw", raw)
        call = partial(Producer.send_raw, raw=mail, recipients=to, sender=sender, tags=tags or None, **common)
    with Producer.of(current()) as producer:
        ids = call(producer)
    for message_id in ids:
        typer.echo(message_id)


def _check_complete(given: dict[str, Any]) -> None:
    for name in ("sender", "subject"):
        if given[name] is None:
            raise InvalidMessage(name, "is missing", f"Give --{name}")
    if "text" not in given and "html" not in given:
        raise InvalidMessage("text", "is missing, and html too", "Give --text, --html or both, or files of them")


_LONGEST_NAME = 255  # bytes; a check for a longer file name is an error


def _one_of(option: str, given: str | None, path: Path | None) -> str | None:
    if given is not None and path is not None:
        raise InvalidMessage(option, f"is given twice, with --{option}-file", "Give one of them")
    if given and len(os.fsencode(given)) <= _LONGEST_NAME and "<" not in given and Path(given).is_file():
        raise InvalidMessage(
            option, f"is the name of a file and would be sent as it is: {given}", f"Use --{option}-file"
        )
    return given if path is None else options.read_text(option, path)
