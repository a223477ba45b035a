"""Addresses: what is accepted, and what comes out of it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailer.errors import InvalidMessage
from mailer.mail.address import Address, parse

ATOM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-"
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029"), max_size=30)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("jane@example.com", "", "jane@example.com"),
        ("Jane.Doe+news@EXAMPLE.com", "", "Jane.Doe+news@example.com"),
        ("<jane@example.com>", "", "jane@example.com"),
        ("  jane@example.com ", "", "jane@example.com"),
        ("Jane Doe <jane@example.com>", "Jane Doe", "jane@example.com"),
        ('"Doe, Jane" <jane@example.com>', "Doe, Jane", "jane@example.com"),
        ('"Jane \\"JD\\" Doe" <jane@example.com>', 'Jane "JD" Doe', "jane@example.com"),
        ("Jäne <jane@example.com>", "Jäne", "jane@example.com"),
        ("=?utf-8?q?J=C3=A4ne?= <jane@example.com>", "Jäne", "jane@example.com"),
        ("jane@bücher.example", "", "jane@xn--bcher-kva.example"),
        ("jane@BÜCHER。example", "", "jane@xn--bcher-kva.example"),
        ('"a..b"@docomo.example', "", '"a..b"@docomo.example'),
    ],
)
def test_an_address_is_read(text: str, name: str, address: str) -> None:
    parsed = parse(text)
    assert (parsed.name, parsed.address) == (name, address)


@pytest.mark.parametrize(
    ("address", "header"),
    [
        (Address("", "jane", "example.com"), "jane@example.com"),
        (Address("Jane Doe", "jane", "example.com"), "Jane Doe <jane@example.com>"),
        (Address("Doe, Jane", "jane", "example.com"), '"Doe, Jane" <jane@example.com>'),
        (Address("Acme Inc.", "jane", "example.com"), '"Acme Inc." <jane@example.com>'),
        (Address("Jäne", "jane", "example.com"), "=?utf-8?b?SsOkbmU=?= <jane@example.com>"),
    ],
)
def test_an_address_is_written_for_the_wire(address: Address, header: str) -> None:
    assert address.header == header


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (None, "is None"),
        (b"jane@example.com", "of type bytes"),
        ("jane", "no @"),
        ("@example.com", "nothing before it"),
        ("jane@", "no valid domain"),
        ("jane@localhost", "no valid domain"),
        ("jane@[192.0.2.1]", "no valid domain"),
        ("jane@192.0.2.1", "no valid domain"),
        ("jane@exa_mple.com", "no valid domain"),
        ("jane@-example.com", "no valid domain"),
        ("jane@" + "a" * 64 + ".com", "no valid domain"),
        ("jane@☃\u200d.example", "Punycode"),
        ("ü@example.com", "not ASCII before the @"),
        ("jane doe@example.com", "may not stand before the @"),
        ("jane..doe@example.com", "may not stand before the @"),
        ("a" * 65 + "@example.com", "65 characters before the @"),
        ("J" * 310 + " <jane@example.com>", "characters long once encoded"),
        ("a@example.com, b@example.com", "several addresses"),
        ("a@example.com;b@example.com", "several addresses"),
        ("a@example.com b@example.com", "several addresses"),
        ("A <a@example.com>, B <b@example.com>", "several addresses"),
        ("Doe, Jane <jane@example.com>", "Quote the name"),
        ("jane@example.com\r\nBcc: eve@example.com", "control character U+000D"),
        ("Jane\n <jane@example.com>", "control character U+000A"),
        ("Jane\x00 <jane@example.com>", "control character U+0000"),
        ("Jane\u2028 <jane@example.com>", "control character U+2028"),
        ("Jane\x85 <jane@example.com>", "control character U+0085"),
        ("=?utf-8?q?Jane=0D=0ABcc=3A_eve?= <jane@example.com>", "control character U+000D"),
        ("\ud800 <jane@example.com>", "surrogate"),
    ],
)
def test_a_bad_address_is_refused_with_the_field_and_without_the_address(text: object, said: str) -> None:
    with pytest.raises(InvalidMessage, match=re.escape(said)) as caught:
        parse(text, "reply_to")
    assert caught.value.field == "reply_to"
    assert "jane" not in caught.value.problem


@given(name=NAMES, local=st.text(ATOM, min_size=1, max_size=64))
@example(name='a\\"b', local="x")
@example(name="=?utf-8?q?x?=", local="x")
@example(name="ß" * 60, local="x")
def test_what_is_written_reads_back_the_same(name: str, local: str) -> None:
    address = Address(name.strip(), local, "example.com")
    if len(address.header) <= 320:
        assert parse(address.header) == address


@given(st.one_of(st.text(max_size=60), st.text('ab.@<>"\\,; \r\n\0=?é', max_size=40).map("{}@example.com".format)))
def test_no_accepted_address_holds_anything_but_printable_ascii(text: str) -> None:
    try:
        header = parse(text).header
    except InvalidMessage:
        return
    assert header.isascii()
    assert header.isprintable()
    assert parse(header).header == header


@pytest.mark.parametrize("local", ["=?utf-8?b?DQpCY2M6IHg=?=", "=?utf-8?q?=0a?=jane", "jane=?"])
def test_an_encoded_word_is_no_mailbox(local: str) -> None:
    for text in (f"{local}@example.com", f"Jane <{local}@example.com>"):
        with pytest.raises(InvalidMessage, match="encoded word"):
            parse(text)


def test_text_that_is_no_address_is_refused_at_once() -> None:
    started = time.process_time()
    for text in ('\\"' * 60_000, f"{'=?utf-8?q?a?= ' * 9_000}<a@example.com>", "a" * 2001):
        with pytest.raises(InvalidMessage, match="SES takes 320 in all"):
            parse(text)
    assert time.process_time() - started < 1
