"""``mailer send``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from mailer.cli.application import prints
from mailer.cli.mail import Mail, checked, read
from mailer.cli.options import Json
from mailer.cli.printed import tell
from mailer.errors import InvalidMessage
from mailer.producer.producer import Producer
from mailer.settings import current


@dataclass(frozen=True, slots=True)
class Sent:
    """A message in the queue. ``to`` is the recipient, as it was written."""

    id: str
    to: str

    def __str__(self) -> str:
        return self.id


@prints(Sent, each="message")
def send(
    to: Annotated[
        list[str], Option(help="A recipient. May be repeated: each gets a separate message.", metavar="ADDRESS")
    ],
    mail: Mail,
    raw: Annotated[
        Path | None,
        Option(
            help="A file with a whole mail in MIME, sent as it is. It has the sender, the subject and the bodies.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Option(help="A recipient who had a message under this key within 24 hours gets no second one.", metavar="KEY"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send one message to each of a few recipients.

    Needs --from, --subject and a body, or --raw. Prints the messages' ids. A message is in the queue when this returns,
    and goes out as soon as the account allows. Without --lane it takes the most urgent one.
    """
    content, delivery = mail.content(), {**mail.delivery(), "idempotency_key": idempotency_key}
    if raw is None:
        checked(content)
        with Producer.of(current()) as producer:
            ids = producer.send(to=to, **content, **delivery)
    else:
        sender = content.pop("sender", None)
        if content:
            name = next(iter(content))
            raise InvalidMessage(name, "is given beside --raw", "It is in the file: leave one of them out")
        delivery["tags"] = delivery["tags"] or None
        with Producer.of(current()) as producer:
            ids = producer.send_raw(read("--raw", raw), recipients=to, sender=sender, **delivery)
    for message_id, recipient in zip(ids, to, strict=True):
        tell(Sent(message_id, recipient), as_json=as_json)
