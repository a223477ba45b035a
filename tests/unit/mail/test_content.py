"""Content: stored once, the same bytes for the same content, rendered for each recipient."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import InvalidMessage
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured
from mailer.mail.recipient import variables_json

LINE = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029"), max_size=40)
VALUES = st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.none(), st.lists(st.integers(), max_size=3))


def full(**changes: Any) -> Structured:
    fields: dict[str, Any] = {
        "sender": "Nëws <news@example.com>",
        "subject": "Hello {{ name }}",
        "text": "Hi {{ name }}",
        "html": "<p>{{ name }}</p>",
        "templates": True,
        "reply_to": ["help@example.com"],
        "headers": {"X-Campaign": "Spring {{ year | default('') }}"},
        "attachments": [Attachment("ä.png", b"\x89PNG\0", "image/png", "logo")],
        "configuration_set": "main",
        "tags": {"campaign": "spring"},
        "list_unsubscribe": ["https://example.com/u?t={{ token | urlencode }}", "mailto:leave@example.com"],
    }
    return Structured.of(**{**fields, **changes})


def test_content_comes_back_from_its_bytes() -> None:
    content = full()
    again = Structured.from_bytes(content.encoded)
    assert again == content
    assert again.encoded == content.encoded


@given(sender=LINE, subject=LINE, text=LINE, value=LINE)
def test_any_accepted_content_comes_back_from_its_bytes(sender: str, subject: str, text: str, value: str) -> None:
    try:
        content = Structured.of(sender=f"{sender} <a@example.com>", subject=subject, text=text, headers={"X-A": value})
    except InvalidMessage:
        return
    assert Structured.from_bytes(content.encoded) == content


def test_the_templates_of_a_message_have_an_end_to_their_length_together() -> None:
    long = "x" * 300_000
    assert full(text=long, html=long + "{{ name }}").html
    with pytest.raises(InvalidMessage, match="html: and the other templates have more than 524,288 characters"):
        full(text=long + "{{ name }}", html=long + "{{ name }}")


def test_the_hash_depends_on_the_content_alone() -> None:
    assert full().hash == full().hash
    assert full().hash != full(subject="Bye").hash
    assert len(full().hash) == 32


def test_a_recipient_gets_their_own_message() -> None:
    message = full().render({"name": "J & J", "token": "a b"})
    assert message.sender == "=?utf-8?b?TsOrd3M=?= <news@example.com>"
    assert (message.subject, message.text, message.html) == ("Hello J & J", "Hi J & J", "<p>J &amp; J</p>")
    assert message.headers == (
        ("X-Campaign", "Spring "),
        ("List-Unsubscribe", "<https://example.com/u?t=a%20b>, <mailto:leave@example.com>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )


def test_literal_content_is_not_a_template() -> None:
    content = Structured.of(sender="a@example.com", subject="{{ x }}", text="{% x %}", headers={"X": "{{ }}"})
    message = content.render({})
    assert (message.subject, message.text, message.headers) == ("{{ x }}", "{% x %}", (("X", "{{ }}"),))


@pytest.mark.parametrize(
    ("field", "variables"),
    [
        ("subject", {"name": "a\r\nBcc: eve@example.com", "token": "t"}),
        ("subject", {"name": "a" * 1000, "token": "t"}),
        ("headers[X-Campaign]", {"name": "a", "token": "t", "year": "\n"}),
        ("variables", {"name": "a"}),
        ("variables", {}),
    ],
)
def test_what_a_variable_brings_in_is_checked_again(field: str, variables: dict[str, object]) -> None:
    content = full()
    for act in (
        lambda: content.check(variables, variables_json(variables)),
        lambda: content.render(variables),
    ):
        with pytest.raises(InvalidMessage) as caught:
            act()
        assert caught.value.field == field


def test_all_missing_variables_are_named() -> None:
    with pytest.raises(InvalidMessage, match="not given: name, token"):
        full().check({}, "{}")


def test_a_variable_may_be_missing_where_the_template_allows_it() -> None:
    content = full(subject="Hi{% if nick is defined %} {{ nick }}{% endif %}", list_unsubscribe=None)
    content.check({"name": "Jane"}, '{"name":"Jane"}')


def test_a_body_that_a_variable_makes_too_large_is_refused() -> None:
    content = Structured.of(sender="a@example.com", subject="x", text="{{ a }}" * 400, templates=True)
    variables: dict[str, object] = {"a": "x" * 100_000}
    with pytest.raises(InvalidMessage, match="makes more than 4,194,304 characters"):
        content.check(variables, variables_json(variables))


TEMPLATES = st.sampled_from(
    [
        "plain",
        "{{ a }}",
        "{{ a | upper }}{{ b }}",
        "{{ a | default('x') }}",
        "{% if a %}{{ b }}{% else %}{{ a }}{% endif %}",
        "{{ a.x }}",
        "{{ a + b }}",
        "{% for x in a %}{{ x }}{% endfor %}",
        "{% if b is defined %}{{ b }}{% endif %}",
        "{{ a | urlencode }}",
        "{{ a | title }}",
        "{{ a if b }}",
        "{{ b if a else 'x' }}",
        "{{ a | trim(b) }}",
        "{{ a | default(b) }}",
        "{{ a and not b or c }}",
        "{{ range }}",
        "{{ self }}",
    ]
)


@given(
    subject=TEMPLATES,
    text=TEMPLATES,
    html=TEMPLATES,
    header=TEMPLATES,
    variables=st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES),
)
def test_what_passed_the_check_renders_without_a_line_break_in_a_header(
    subject: str, text: str, html: str, header: str, variables: dict[str, object]
) -> None:
    content = Structured.of(
        sender="n@example.com",
        subject=subject,
        text=text,
        html=html,
        headers={"X-A": header},
        templates=True,
        list_unsubscribe="https://example.com/{{ c | default('') | urlencode }}",
    )
    try:
        content.check(variables, variables_json(variables))
    except InvalidMessage:
        with pytest.raises(InvalidMessage):
            content.render(variables)
        return
    stored = Structured.from_bytes(content.encoded)
    message = stored.render(json.loads(variables_json(variables)))
    for line in (message.subject, *(value for _, value in message.headers)):
        assert len(line.splitlines()) <= 1
        assert "\0" not in line
    assert all(value.isascii() for _, value in message.headers)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"v":2,"sender":"a@example.com","subject":"x","text":"x"}',
        b'{"v":1,"sender":"a@example.com","subject":"x","text":"x","extra":1}',
        b'{"v":1,"sender":"a@example.com","subject":"x\\r\\nBcc: e@example.com","text":"x"}',
        b'{"v":1,"sender":"a@example.com","subject":"x","text":"x","templates":1}',
        b'{"v":1,"sender":"a@example.com","subject":"x","text":"x","headers":[["X"]]}',
        b'{"v":1,"sender":"a@example.com","subject":"x","text":"x","attachments":[{"filename":"a"}]}',
    ],
)
def test_bytes_that_are_not_content_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        Structured.from_bytes(data)
