"""A message's HTML, made harmless enough to be shown in a frame of the simulator's own page.

The harm is kept out by the browser: the policy sent along lets no script run, nothing load, no form go out and no other
page frame it; the frame's sandbox says so once more. Only pictures that came in the message show. The elements that
would embed or fetch something are left out as well and links lead nowhere, because Chromium connects to the host of a
frame or a link before it asks the policy, and a mail must not even tell its sender that it was opened.
"""

from __future__ import annotations

import base64
import json
import re
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from mailer.simulator import content

if TYPE_CHECKING:
    from mailer.simulator.inbox import Submission

POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_LEFT_OUT = frozenset({"script", "link", "meta", "base", "iframe", "frame", "object", "embed", "portal", "fencedframe"})
_CID = re.compile(r"cid:([^\"'\s<>)]{1,500})")
_PICTURE = re.compile(r"image/(?:png|jpeg|gif|webp|bmp)")


def html(submission: Submission) -> bytes | None:
    """The HTML part in UTF-8, with the message's own pictures (``cid:``) put in; None if it has none."""
    found = content.parse(submission)["html"]
    if found is None:
        return None
    if "cid:" in found:
        pictures = _pictures(submission)
        found = _CID.sub(lambda match: pictures.get(match[1], match[0]), found)
    filtered = _Filter()
    filtered.feed(found)
    filtered.close()
    return "".join(filtered.kept).encode(errors="replace")


class _Filter(HTMLParser):
    """Passes HTML on as it is, but for the elements left out, what is in a script, and where links lead.

    A link says so when the mouse is over it.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        if tag in {"a", "area"}:
            self.kept.append(_link(tag, attrs))
        elif tag not in _LEFT_OUT:
            self.kept.append(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._in_script = False

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False
        if tag not in _LEFT_OUT:
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._in_script:
            self.kept.append(data)

    def handle_entityref(self, name: str) -> None:
        self.kept.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.kept.append(f"&#{name};")

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """``<![anything[`` is a comment to a browser; the standard library knows a few words and fails on others."""
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:
            return self.parse_bogus_comment(i)

    def handle_decl(self, decl: str) -> None:
        self.kept.append(f"<!{decl}>")


def _link(tag: str, attributes: list[tuple[str, str | None]]) -> str:
    kept = {name: value or "" for name, value in attributes if name not in {"href", "xlink:href", "ping", "target"}}
    target = next((value for name, value in attributes if name in {"href", "xlink:href"}), None)
    if target is not None:
        kept |= {"href": "#", "title": target}
    return f"<{tag}{''.join(f' {name}={chr(34)}{escape(value)}{chr(34)}' for name, value in kept.items())}>"


def _pictures(submission: Submission) -> dict[str, str]:
    """``data:`` URLs by Content-ID."""
    if submission.form == "v2":
        attachments = json.loads(submission.data)["Content"]["Simple"].get("Attachments") or ()
        return {
            str(each["ContentId"]).strip("<>"): _data_url(str(each.get("ContentType") or ""), each["RawContent"])
            for each in attachments
            if each.get("ContentId")
        }
    try:
        message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(submission.data)
        return {
            str(part["Content-ID"]).strip().strip("<>"): _data_url(
                part.get_content_type(), base64.b64encode(bytes(part.get_payload(decode=True) or b"")).decode()
            )
            for part in message.walk()
            if part["Content-ID"] and not part.is_multipart()
        }
    except Exception:  # noqa: BLE001 - on broken MIME the standard library's parser raises whatever it runs into
        return {}


def _data_url(content_type: str, encoded: str) -> str:
    # Not SVG: it would be the one picture with markup of its own.
    return f"data:{content_type};base64,{encoded}" if _PICTURE.fullmatch(content_type) else "data:,"
