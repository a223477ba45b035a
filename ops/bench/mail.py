"""The mail of the figures: a template with three variables, and its recipients."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult

SENDER = "Shop <news@example.com>"
SUBJECT = "{{ name }}, your order {{ order }} is on its way"
TEXT = "Hello {{ name }},\n\nyour order {{ order }} leaves us today. It should reach {{ city }} in two days.\n"
_PARAGRAPH = (
    "<p>Every figure in this paragraph is measured on one small machine, beside what it is compared with.</p>\n"
)


def html(size: int = 1024) -> str:
    """About ``size`` bytes of HTML."""
    head = "<html><body><h1>Hello {{ name }}</h1>\n<p>Your order {{ order }} is on its way to {{ city }}.</p>\n"
    tail = "</body></html>\n"
    body = _PARAGRAPH * (1 + max(0, size - len(head) - len(tail)) // len(_PARAGRAPH))
    return head + body[: max(0, size - len(head) - len(tail))] + tail


def recipients(count: int) -> Iterator[dict[str, object]]:
    """Rows for `mailer.send_many`: an address and three variables each, different in every row."""
    for number in range(count):
        yield {
            "to": f"customer-{number}@example.com",
            "variables": {"name": f"Customer {number}", "order": f"A-{100000 + number}", "city": "Springfield"},
        }


def enqueue(producer: Producer, rows: Iterable[Mapping[str, object]], **more: Any) -> SendManyResult:
    """Enqueue the template for each of these rows. ``more`` are further arguments, or others."""
    letter = {"sender": SENDER, "subject": SUBJECT, "text": TEXT, "html": html(), **more}
    return producer.send_many(rows, **letter)


def rendered(count: int) -> Iterator[dict[str, str]]:
    """The same mails rendered, for a program without mailer's templates."""
    template = html()
    for number in range(count):
        name, order, city = f"Customer {number}", f"A-{100000 + number}", "Springfield"

        def fill(text: str, values: tuple[str, str, str] = (name, order, city)) -> str:
            for variable, value in zip(("name", "order", "city"), values, strict=True):
                text = text.replace("{{ " + variable + " }}", value)
            return text

        yield {
            "sender": SENDER,
            "to": f"customer-{number}@example.com",
            "subject": fill(SUBJECT),
            "text": fill(TEXT),
            "html": fill(template),
        }


def gaps(count: int, shortest: float, longest: float, seed: int) -> list[float]:
    """Random pauses between urgent mails, in seconds."""
    chance = random.Random(seed)
    return [chance.uniform(shortest, longest) for _ in range(count)]
