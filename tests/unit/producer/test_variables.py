"""Variables: JSON at the producer already, whatever Python has for them, and the same at the worker."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from mailer.errors import InvalidMessage
from mailer.mail.recipient import Recipient
from mailer.producer.csv_file import CsvRecipients, import_csv
from mailer.producer.producer import Producer
from tests.support.content import structured
from tests.unit.producer.conftest import Account

LETTER: dict[str, Any] = {"sender": "me@example.com", "subject": "Hello"}


def sent_both_ways(producer: Producer, account: Account, variables: dict[str, Any], **fields: Any) -> list[str | None]:
    """The texts that `send` and `send_many` make of it."""
    producer.send(to="a@example.com", variables=variables, lane="bulk", **LETTER, **fields)
    producer.send_many([Recipient("a@example.com", variables)], **LETTER, **fields)
    return [structured(message).text for message in account.messages("bulk")]


def refused_both_ways(producer: Producer, variables: dict[str, Any], text: str) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as one:
        producer.send(to="a@example.com", variables=variables, text=text, **LETTER)
    with pytest.raises(InvalidMessage) as many:
        producer.send_many([Recipient("a@example.com", variables)], text=text, **LETTER)
    assert one.value.field == many.value.field
    assert (one.value.problem, one.value.remedy) == (many.value.problem, many.value.remedy)
    return one.value


def test_a_name_that_python_has_a_method_of_is_a_key(producer: Producer, account: Account) -> None:
    order = {"values": 5, "items": 3}
    text = "Values: {{ order.values }}. Items: {{ order.items }}."
    assert sent_both_ways(producer, account, {"order": order}, text=text) == ["Values: 5. Items: 3."] * 2


def test_a_method_of_a_value_is_an_error_and_sends_nothing(producer: Producer, account: Account) -> None:
    error = refused_both_ways(producer, {"user": {"name": "jo"}}, "Title: {{ user.name.title }}.")
    assert error.field == "variables"
    assert "user.name.title is not given" in error.problem
    assert account.is_untouched()


def test_a_null_name_is_an_error_by_its_name_and_default_helps(producer: Producer, account: Account) -> None:
    error = refused_both_ways(producer, {"name": None}, "{{ name }}, the spring catalogue is here")
    assert (error.field, "name is null" in error.problem) == ("variables", True)
    assert account.is_untouched()
    text = "Hi {{ name | default('there') }}"
    assert sent_both_ways(producer, account, {"name": None}, text=text) == ["Hi there"] * 2


def test_an_empty_cell_takes_the_default(producer: Producer, account: Account, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("to,name\na@example.com,\nb@example.com,Jo\n")
    with CsvRecipients(people, tmp_path / "bad.csv") as rows:
        import_csv(producer, rows, text="Hi {{ name | default('there') }}", **LETTER)
    assert {message.recipient.header: structured(message).text for message in account.messages("bulk")} == {
        "a@example.com": "Hi there",
        "b@example.com": "Hi Jo",
    }


def test_a_tuple_is_a_list(producer: Producer, account: Account) -> None:
    variables = {"xs": ("a", ("b", "c"))}
    text = "{{ xs[1] | join('+') }} {{ xs == ['a', ['b', 'c']] }}"
    assert sent_both_ways(producer, account, variables, text=text) == ["b+c True"] * 2


@pytest.mark.parametrize(
    ("value", "problem", "remedy"),
    [
        (Decimal("9.99"), "is of type Decimal", "f'{price:.2f}'"),
        (date(2026, 1, 2), "is of type date", "f'{day:%d %B %Y}'"),
        (datetime(2026, 1, 2, tzinfo=UTC), "is of type datetime", "f'{day:%d %B %Y}'"),
        (math.nan, "is not a finite number", "Pass None"),
        (-math.inf, "is not a finite number", "Pass None"),
        ({"a"}, "is of type set", "sorted(...)"),
        (MappingProxyType({}), "is of type mappingproxy", "dict(...)"),
        (uuid.UUID(int=1), "is of type UUID", "as text"),
        (b"x", "is of type bytes", "as text"),
        (str.upper, "is of type method_descriptor", "as text"),
        ({1: "x"}, "has a key of type int", "Use text"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_place(
    producer: Producer, account: Account, value: Any, problem: str, remedy: str
) -> None:
    for variables, field in (
        ({"price": value}, "variables[price]"),
        ({"order": {"lines": [{"n": 1}, {"price": value}]}}, "variables[order][lines][1][price]"),
    ):
        error = refused_both_ways(producer, variables, "Hello")
        assert error.field == field
        assert problem in error.problem
        assert remedy in error.remedy
    assert account.is_untouched()


def test_css_that_looks_like_a_comment_is_an_error_with_the_way_out(producer: Producer, account: Account) -> None:
    html = "<style>@media(max-width:600px){#body{width:100%}}</style><p>Hi</p>"
    with pytest.raises(InvalidMessage) as caught:
        producer.send_many(["a@example.com"], html=html, **LETTER)
    assert caught.value.field == "html"
    assert "{#body{width" in caught.value.problem
    assert "{% raw %}" in caught.value.remedy
    assert account.is_untouched()
    producer.send_many(["a@example.com"], html=html.replace("{#", "{ #"), **LETTER)
