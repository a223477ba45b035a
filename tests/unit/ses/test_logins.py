"""The passwords of a proxy and of an endpoint in what libcurl and botocore say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailer.errors import SendError
from mailer.ses.access import FOR_QUESTIONS, ClientConfig, find_access
from mailer.ses.account import read_account
from mailer.ses.transports import open_transport
from mailer.settings import TransportKind
from tests.unit.ses.conftest import a_message

SECRET = "pa55"


@pytest.mark.parametrize("kind", ["ses", "boto3"])
@pytest.mark.parametrize(
    ("endpoint", "proxy"),
    [
        (f"https://user:{SECRET}@127.0.0.1:9", ""),
        (f"https://user:{SECRET}@no.such.invalid", ""),
        (f"https://user:{SECRET}@ses.invalid:https", ""),
        ("https://ses.invalid", f"http://user:{SECRET}@127.0.0.1:9"),
        ("https://ses.invalid", f"user:{SECRET}@127.0.0.1:9"),
        ("https://ses.invalid", f"http://user:{SECRET}@no.such.invalid:9"),
        ("https://ses.invalid", f"http://user:{SECRET}@127.0.0.1:port"),
        ("https://ses.invalid", f"http://user:{SECRET}/x y@127.0.0.1:9"),
        ("https://ses.invalid", f"gopher://user:{SECRET}@127.0.0.1:9"),
        ("https://ses.invalid", f"http://us er:{SECRET}@127.0.0.1:9"),
    ],
)
def test_no_error_shows_the_password_of_an_endpoint_or_a_proxy(
    monkeypatch: pytest.MonkeyPatch, kind: TransportKind, endpoint: str, proxy: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", endpoint)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    said: list[str] = []
    asks: tuple[Callable[[], object], ...] = (
        lambda: open_transport(kind, ClientConfig(connect_timeout=2, read_timeout=2)).send(a_message()),
        lambda: find_access(FOR_QUESTIONS).place,
        read_account,
    )
    for ask in asks:
        try:
            said.append(str(ask()))
        except SendError as error:
            said += [str(error), repr(error), error.detail]
    assert [each for each in said if SECRET in each] == []
