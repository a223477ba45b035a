"""What the SMTP side overrides, calls and reads in aiosmtpd, pinned: an upgrade that moves any of it fails here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aiosmtpd import smtp
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mailer.simulator.wire import smtp_connection
from mailer.simulator.wire.smtp import SmtpDoor
from mailer.simulator.wire.smtp_connection import SmtpProtocol


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(thing: Any) -> str:
    """Its source with one kind of quotes, on one line, and texts that stand side by side as one."""
    return " ".join(inspect.getsource(thing).replace('"', "'").split()).replace("' '", "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("connection_made", ["self", "transport"]),
        ("connection_lost", ["self", "error"]),
        ("data_received", ["self", "data"]),
        ("push", ["self", "status"]),
        ("_getaddr", ["self", "arg"]),
        ("_timeout_cb", ["self"]),
        ("_reset_timeout", ["self", "duration"]),
    ],
)
def test_the_signature_of_what_is_overridden_or_called(name: str, expected: list[str]) -> None:
    assert parameters(getattr(SMTP, name)) == expected


def test_every_method_of_aiosmtpd_that_is_replaced_is_known_here() -> None:
    replaced = {name for name in vars(SmtpProtocol) if hasattr(SMTP, name) and not name.startswith("__")}
    assert replaced == {
        "connection_made",
        "connection_lost",
        "data_received",
        "push",
        "_getaddr",
        "_timeout_cb",
        "AuthLoginUsernameChallenge",
        "AuthLoginPasswordChallenge",
    }


@pytest.mark.parametrize(
    "option",
    [
        *("hostname", "ident", "tls_context", "require_starttls", "auth_require_tls", "authenticator"),
        *("data_size_limit", "command_call_limit", "timeout", "loop"),
    ],
)
def test_the_options_that_a_connection_is_made_with(option: str) -> None:
    assert option in parameters(SMTP)


def test_a_connection_keeps_its_parts_under_these_names() -> None:
    made = source(SMTP.__init__) + source(SMTP._cb_client_connected)
    for name in ("self._original_transport", "self.transport", "self._writer", "self.tls_context", "self.loop"):
        assert f"{name}: " in made or f"{name} = " in made, name
    assert Session(None).ssl is None
    assert {"mail_from", "rcpt_tos", "original_content"} <= set(vars(Envelope()))
    assert LoginPassword._fields == ("login", "password")
    assert AuthResult(success=True, handled=True).success


def test_starttls_keeps_the_first_transport_and_makes_the_connection_anew() -> None:
    assert "self._original_transport = self.transport" in source(SMTP.smtp_STARTTLS)
    made = source(SMTP.connection_made)
    assert made.index("self._reset_timeout()") < made.index("self._original_transport is not None")
    assert "self.session.ssl = self._tls_protocol._extra" in made


def test_every_reply_goes_through_push() -> None:
    assert "self._writer.write(response" in source(SMTP.push)
    assert source(SMTP).count("self._writer.write(") == 1


def test_an_idle_connection_ends_by_the_callback_and_each_command_starts_the_time_again() -> None:
    assert "self._timeout_cb" in source(SMTP._reset_timeout)
    assert "duration or self._timeout_duration" in source(SMTP._reset_timeout)
    assert "self.transport.close()" in source(SMTP._timeout_cb)
    assert "self._reset_timeout()" in source(SMTP._handle_client)


def test_the_texts_that_are_put_into_sess_words_are_aiosmtpds() -> None:
    for text in (*smtp_connection._IN_SES_WORDS, smtp_connection._MALFORMED):
        assert f"'{text}'" in source(smtp), text


def test_a_handlers_hooks_have_the_arguments_that_they_are_called_with() -> None:
    assert "await hook(self, self.session, self.envelope, *args)" in source(SMTP._call_handler_hook)
    assert "await self.event_handler.handle_exception(error)" in source(SMTP.handle_exception)
    hooks = {name for name in dir(SmtpDoor) if name.startswith("handle_")}
    assert hooks == {"handle_EHLO", "handle_MAIL", "handle_RCPT", "handle_DATA", "handle_exception"}
    assert "self._call_handler_hook('EHLO', hostname, response)" in source(SMTP.smtp_EHLO)
    for command in ("MAIL", "RCPT"):
        assert f"self._call_handler_hook('{command}', address, " in source(getattr(SMTP, f"smtp_{command}"))
    assert "self._call_handler_hook('DATA')" in source(SMTP.smtp_DATA)


def test_a_message_begins_with_354_and_its_hook_comes_once_it_is_whole() -> None:
    data = source(SMTP.smtp_DATA)
    assert data.index("self.push('354 ") < data.index("self.envelope.original_content = ")
    assert data.index("self.envelope.original_content = ") < data.index("self._call_handler_hook('DATA')")
