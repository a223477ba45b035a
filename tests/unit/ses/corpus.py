"""Mails as programs make them: CPython's own test data, and what its libraries and Django write."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from email import encoders, policy
from email.charset import BASE64, QP, Charset
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.audio import MIMEAudio
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from io import BytesIO
from pathlib import Path
from typing import Any

import test.test_email
from django.conf import settings
from django.core.mail import EmailMultiAlternatives

_DATA = Path(test.test_email.__file__).parent / "data"
_AUTHOR = b"From: Corpus <corpus@example.com>\n"

_TEXTS = {
    "empty": "",
    "ascii": "Hello, Jane.\nBye.\n",
    "dots": ".\n..\n.leading\n...\nend\n.",
    "from": "From here on\n>From there\n",
    "umlauts": "Grüße aus Köln: äöüß €\n",
    "japanese": "こんにちは世界。\n日本語の本文です。\n",
    "emoji": "🎉🎈 done ✓\n",
    "spaces": "trailing  \n\ttab\n \n\n\nend   ",
    "headers": "Bcc: eve@example.com\nX-SES-MESSAGE-TAGS: a=b\n\nSubject: no\n",
    "equals": "a=3D b==\n=\nhttps://example.com/?a=b&c=d=\n",
}
_HEADERS: dict[str, dict[str, str]] = {
    "plain": {},
    "copies": {"Cc": "Ann <ann@example.com>, bob@example.com", "Bcc": "eve@example.com"},
    "hidden": {"Bcc": ", ".join(f"Hidden {number} <hidden-{number}@example.com>" for number in range(12))},
    "list": {
        "List-Unsubscribe": "<https://example.com/u?" + "t" * 120 + ">, <mailto:leave@example.com>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Precedence": "bulk",
    },
    "tagged": {"X-SES-MESSAGE-TAGS": "campaign=spring, kind=news", "X-SES-CONFIGURATION-SET": "main-set"},
    "foreign": {
        "X-SES-SOURCE-ARN": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
        "Sender": "s@example.com",
    },
    "thread": {
        "Message-ID": "<1@example.com>",
        "In-Reply-To": "<0@example.com>",
        "References": " ".join(f"<{number}.reference@example.com>" for number in range(20)),
    },
}
_SUBJECTS = (
    "Hello",
    "Schöne Grüße und noch viel mehr davon, bis die Zeile voll ist und noch eine",
    "件名 🎉",
    "=?utf-8?q?x?=",
)
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
_CALENDAR = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"


def corpus() -> Iterator[tuple[str, bytes]]:
    """Names and mails."""
    yield from _of_cpython()
    yield from _of_email_message()
    yield from _of_mime_classes()
    yield from _of_django()


def _of_cpython() -> Iterator[tuple[str, bytes]]:
    for path in sorted(_DATA.glob("msg_*.txt")):
        mail = path.read_bytes()
        yield path.name, mail
        if not mail.lower().startswith(b"from:") and b"\nfrom:" not in mail.lower():
            yield f"{path.name} with an author", _AUTHOR + mail
        if b"\r\n" not in mail:
            yield f"{path.name} with CRLF", mail.replace(b"\n", b"\r\n")


def _of_email_message() -> Iterator[tuple[str, bytes]]:
    """The library's newer half: its policies, each with other headers and bodies."""
    policies = {"smtp": policy.SMTP, "lf": policy.default, "8bit": policy.SMTP.clone(cte_type="8bit")}
    for kind, chosen in policies.items():
        for number, (text_name, text) in enumerate(_TEXTS.items()):
            for position, (header_name, headers) in enumerate(_HEADERS.items()):
                mail = EmailMessage(chosen)
                _address(mail, _SUBJECTS[(number + position) % len(_SUBJECTS)], headers)
                mail.set_content(text, cte="8bit" if kind == "8bit" and not text.isascii() else None)
                _STRUCTURES[(number + position) % len(_STRUCTURES)](mail)
                yield f"EmailMessage {kind} {text_name} {header_name}", mail.as_bytes()


def _address(mail: Any, subject: str, headers: dict[str, str]) -> None:
    mail["From"] = "Jürgen Müller <juergen@example.com>" if isinstance(mail, EmailMessage) else "corpus@example.com"
    mail["To"] = "Visible <visible@example.com>, other@example.com"
    mail["Subject"] = subject if isinstance(mail, EmailMessage) or subject.isascii() else "Hello"
    for name, value in headers.items():
        mail[name] = value


def _as_it_is(mail: EmailMessage) -> None:
    pass


def _alternative(mail: EmailMessage) -> None:
    mail.add_alternative("<p>Grüße &amp; mehr</p>\n" * 3, subtype="html")


def _related(mail: EmailMessage) -> None:
    _alternative(mail)
    html = list(mail.iter_parts())[1]
    assert isinstance(html, EmailMessage)
    html.add_related(_PNG, "image", "png", cid="<logo>")


def _mixed(mail: EmailMessage) -> None:
    _related(mail)
    mail.add_attachment(_PNG * 4, maintype="application", subtype="octet-stream", filename="Übersicht 2026.bin")
    mail.add_attachment("a,b\n1,2\n", subtype="csv", filename="a.csv")


def _forwarded(mail: EmailMessage) -> None:
    inner = EmailMessage()
    inner["From"], inner["Bcc"], inner["Subject"] = "a@example.com", "kept@example.com", "inner"
    inner.set_content("inner\n")
    mail.add_attachment(inner)


def _invitation(mail: EmailMessage) -> None:
    mail.add_alternative(_CALENDAR.encode(), "text", "calendar", cte="base64", params={"method": "REQUEST"})


_STRUCTURES = (_as_it_is, _alternative, _related, _mixed, _forwarded, _invitation)


def _of_mime_classes() -> Iterator[tuple[str, bytes]]:
    """The library's older half, which most programs still use."""
    for number, (text_name, text) in enumerate(_TEXTS.items()):
        for charset in ("us-ascii", "utf-8", "iso-8859-15", "iso-2022-jp", "utf-8 in quoted-printable"):
            part = _text_in(text, charset)
            if part is None:
                continue
            headers = list(_HEADERS.values())[number % len(_HEADERS)]
            wholes = {"alone": part, "signed": _signed(part), "report": _report(part), "digest": _digest(part)}
            wholes["files"] = MIMEMultipart("mixed", None, [part, *_files()])
            name, whole = list(wholes.items())[(number + len(charset)) % len(wholes)]
            for linesep in ("\n", "\r\n"):
                for folding in (0, 78):
                    mail = deepcopy(whole)
                    _address(mail, "Hello", headers)
                    made = BytesIO()
                    chosen = policy.compat32.clone(linesep=linesep, max_line_length=folding or None)
                    BytesGenerator(made, mangle_from_=False, policy=chosen).flatten(mail)
                    yield f"{name} {text_name} {charset} {linesep!r} {folding}", made.getvalue()


def _text_in(text: str, charset: str) -> MIMEText | None:
    encoding, _, way = charset.partition(" in ")
    chosen: Any = Charset(encoding)
    if way:
        chosen.body_encoding = QP
    elif encoding == "utf-8":
        chosen.body_encoding = BASE64
    try:
        return MIMEText(text, "plain", chosen if encoding == "utf-8" else encoding)
    except UnicodeError:
        return None


def _signed(part: Any) -> Any:
    signature = MIMENonMultipart("application", "pgp-signature", name="signature.asc")
    signature.set_payload("-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n")
    return MIMEMultipart("signed", None, [part, signature], protocol="application/pgp-signature", micalg="pgp-sha256")


def _report(part: Any) -> Any:
    status = MIMENonMultipart("text", "rfc822-headers")
    status.set_payload("Reporting-MTA: dns; example.com\n\nFinal-Recipient: rfc822; a@example.com\nAction: failed\n")
    return MIMEMultipart("report", None, [part, status], report_type="delivery-status")


def _digest(part: Any) -> Any:
    inner = MIMEText("inner", "plain")
    inner["Bcc"] = "kept@example.com"
    return MIMEMultipart("digest", "=_boundary with 'odd' (signs)?", [MIMEMessage(inner), MIMEMessage(deepcopy(part))])


def _files() -> list[Any]:
    odd = MIMEBase("application", "x-odd", name="o d;d.bin")
    odd.set_payload(bytes(range(256)))
    encoders.encode_quopri(odd)
    return [MIMEApplication(_PNG), MIMEImage(_PNG, "png"), MIMEAudio(b"RIFF", "wav"), odd]


def _of_django() -> Iterator[tuple[str, bytes]]:
    if not settings.configured:
        settings.configure(EMAIL_USE_LOCALTIME=False, DEFAULT_CHARSET="utf-8", USE_I18N=False)
    for text_name, text in _TEXTS.items():
        for header_name, headers in _HEADERS.items():
            mail = EmailMultiAlternatives(
                _SUBJECTS[len(text) % len(_SUBJECTS)],
                text,
                "Nëws <news@example.com>",
                ["visible@example.com", "Änne <aenne@example.com>"],
                cc=["cc@example.com"],
                reply_to=["help@example.com"],
                headers={name: value for name, value in headers.items() if name != "Cc"},
            )
            if len(text) % 2:
                mail.attach_alternative("<p>" + "long " * 300 + "</p>", "text/html")
            if len(text) % 3 == 0:
                mail.attach("Übersicht.pdf", _PNG, "application/pdf")
            yield f"Django {text_name} {header_name}", mail.message().as_bytes()
