"""What people see of an address, and of a password in a URL."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.masking import mask, mask_addresses, mask_logins, without_login


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("jane@example.com", "j***@example.com"),
        ("Jane <jane@example.com>", "j***@example.com"),
        ('"a@b" <jane@example.com>', "j***@example.com"),
        ('"a b"@example.com', "a***@example.com"),
        ("jane(at home)@example.com", "j***@example.com"),
        ("jane@(at home)example.com", "j***@example.com"),
        ("jane@[10.0.0.1]", "j***@[10.0.0.1]"),
        ("jane%40example.com", "j***@example.com"),
        ("jane@b\u00fccher.example", "j***@b\u00fccher.example"),
        ("j\u00e4ne@example.com", "j***@example.com"),
        ("jane", "***"),
        ("", "***"),
        ("a@b\r\nx", "***"),
        ("x@jane%40example.com", "***"),
        ("jane@example.com joe@example.com", "***"),
    ],
)
def test_a_masked_address_shows_a_letter_and_the_domain(text: str, masked: str) -> None:
    assert mask(text) == masked


@given(st.text())
def test_anything_can_be_masked(text: str) -> None:
    assert mask(text).isprintable()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("of <jane.doe+x@mail.example.com>, joe@example.org.", "of <j***@mail.example.com>, j***@example.org."),
        ('of "john(doe"@example.com', "of j***@example.com"),
        ("of jane@b\u00fccher.example!", "of j***@b\u00fccher.example!"),
        ("of \u7528\u6237@\u4f8b\u5b50\u3002\u6d4b\u8bd5 too", "of \u7528***@\u4f8b\u5b50\u3002\u6d4b\u8bd5 too"),
        ("of j\u00e4ne@example.com", "of j***@example.com"),
        ("of o'neil@example.com", "of o***@example.com"),
        ('to "jane doe"@example.com today', "to j***@example.com today"),
        ('to "jane \\"jd\\" doe"@example.com today', "to j***@example.com today"),
        ('to jane."middle name"@example.com today', "to j***@example.com today"),
        ('to "jane"."doe"@example.com today', "to j***@example.com today"),
        ('to "jane@home"@example.com today', "to j***@example.com today"),
        ("to jane(her (old) box)@example.com today", "to j***@example.com today"),
        ("to jane@(at home) example.com today", "to j***@example.com today"),
        ("to jane @ example.com today", "to j***@example.com today"),
        ("to jane@[10.0.0.1] and joe@[IPv6:fe80::1]", "to j***@[10.0.0.1] and j***@[IPv6:fe80::1]"),
        ("to=jane%40example.com&x=1", "t***@example.com&x=1"),
        ("to jane%2540example.com", "to j***@example.com"),
        ("joe%40x.example%40jane%40example.com", "j***@x.example%40j***@example.com"),
        ('{"to": "jane\\u0040example.com"}', '{"to": "j***@example.com"}'),
        ('{"to": "\\"jane doe\\"@example.com"}', '{"to": "j***@example.com"}'),
        ('{"a":"b","to":"jane@b\\u00fccher.example"}', '{"a":"b","to":"j***@b\\u00fccher.example"}'),
        (repr("j\u00e4ne@example.com".encode()), "b***@example.com'"),
        ("to jane\\x40example.com", "to j***@example.com"),
        ("to jane&#64;example.com", "to j***@example.com"),
        ("to jane\uff20example.com", "to j***@example.com"),
        (
            "at redis://jane:pa%40ss@redis.internal:6379/0 for joe@example.com",
            "at redis://***@redis.internal:6379/0 for j***@example.com",
        ),
    ],
)
def test_addresses_within_a_text_are_masked_however_they_are_written(text: str, masked: str) -> None:
    assert mask_addresses(text) == masked
    assert mask_addresses(masked) == masked


@pytest.mark.parametrize("text", ["mailer1@host ready.", "40% of 40", "@example.com", "a@", "=40", "<built-in @ 0x40>"])
def test_what_is_no_address_stays(text: str) -> None:
    assert mask_addresses(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://u:p@proxy:3128", "http://***@proxy:3128"),
        ("a https://u:p/w#x@proxy:3128, refused", "a https://***@proxy:3128, refused"),
        ("sentinel://:p@a:1;sentinel://:q@b:2/0", "sentinel://***@b:2/0"),
        ("unix://u:p@/run/valkey.sock", "unix://***@/run/valkey.sock"),
        ('Could not connect to "https://u:p@ses.internal/"', 'Could not connect to "https://***@ses.internal/"'),
        ("https://example.com/ and jane@example.com", "https://example.com/ and jane@example.com"),
    ],
)
def test_logins_in_urls_are_masked(text: str, masked: str) -> None:
    assert mask_logins(text) == masked


def test_a_url_without_its_scheme_loses_its_login_too() -> None:
    assert without_login("u:p w@proxy:3128") == "***@proxy:3128"
    assert without_login("proxy:3128") == "proxy:3128"
    assert without_login("https://example.com/x") == "https://example.com/x"


PIECES = (
    *("a", "a@", "a@b.c ", "@", ".", "a-", "a.", ".@", "%40", "x%40", "%25", "25", "\\", "\\@", "\\u0040", "&#64;"),
    *(
        '"',
        'a"',
        'a"b"',
        '."',
        'x."a".',
        '\\"',
        '\\"a',
        '\\\\\\"a',
        '"a\n',
        "(",
        "a(",
        "a((b)",
        "(b) ",
        "a@(",
        "a@(b) ",
    ),
    *("a @ ", "a@[1", "a,", "a://", "a://b@", "\u00e9\u3002", "hello "),
)


LONG_TEXTS = (*(("@", piece) for piece in PIECES), *(('@"', piece) for piece in ("a", "a.", "\\", "(b) ", "hello ")))


@pytest.mark.timing
@pytest.mark.timeout(120)
def test_a_long_text_is_gone_through_once() -> None:
    """Where each character is a beginning to try, a text of eight times the length takes 64 times as long."""

    def seconds(start: str, piece: str, size: int) -> float:
        text = (start + piece * (size // len(piece)))[:size] + "@"
        began = time.thread_time()
        mask_addresses(text)
        return time.thread_time() - began

    for start, piece in LONG_TEXTS:
        short = min(seconds(start, piece, 25_000) for _ in range(2))
        # What a busy machine does to one measurement it does not do to three.
        assert any(seconds(start, piece, 200_000) < 24 * short for _ in range(3)), (start, piece)
