"""Makes a message's HTML safe to show in a frame of the simulator's own page.

The browser does the main work. The Content-Security-Policy forbids scripts, loading, forms and framing by other pages.
The frame's sandbox forbids the same again. Only pictures that came in the message show. This module also removes the
elements that embed or fetch something, and makes links lead nowhere. The reason: Chromium connects to the host of a
frame or a link before it checks the policy. A mail must not even tell its sender that it was opened.
"""

from __future__ import annotations

import base64
import json
import re
from html import escape
from typing import TYPE_CHECKING

from mailer.simulator import content
from mailer.simulator.control.html_tokens import Start, Text, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailer.simulator.inbox import Submission

POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
    "Cache-Control": "no-store",
}

_LONGEST_SHOWN = 1_000_000  # ten times the length at which mail clients cut it
_MOST_OF_PICTURES = 64 * 1024 * 1024
_LEFT_OUT = frozenset(
    {
        *("script", "link", "meta", "base", "iframe", "frame", "frameset", "object", "embed", "portal", "fencedframe"),
        # A browser parses these by other rules than those of HTML, and a template is not part of the page.
        *("svg", "math", "template", "noscript", "noembed", "noframes", "plaintext", "xmp"),
    }
)
_NAME = re.compile(r"[a-z][a-z0-9:_-]{0,40}")
_DOES_SOMETHING = re.compile(
    r"on.*|.*href|ping|target|srcdoc|srcset|imagesrcset|poster|background|lowsrc|dynsrc|data|code.*|archive|classid"
    r"|action|form.*|http-equiv|autofocus|autoplay|manifest|is|slot|nonce|download|shadowroot.*|attributionsrc"
    r"|popover.*|command.*|invoke.*|access.*"
)
_DOCTYPE = re.compile(r"\s*<!doctype html", re.IGNORECASE)
_LINKS = frozenset({"a", "area"})
_HERE = "data:"
_CID = re.compile(r"cid:([^\"'\s<>)]{1,500})")
_PICTURE = re.compile(r"image/(?:png|jpeg|gif|webp|bmp)")


def html(submission: Submission) -> bytes | None:
    """The HTML part in UTF-8, with the message's own pictures (``cid:``) in place. None if there is no HTML."""
    found = content.parse(submission)["html"]
    if found is None:
        return None
    found = found[:_LONGEST_SHOWN]
    if "cid:" in found:
        found = _with_pictures(found, _pictures(submission))
    return "".join(_filtered(found)).encode(errors="replace")


def _with_pictures(text: str, pictures: Mapping[str, str]) -> str:
    """Insert the pictures. A picture may repeat, but its copies must not fill the memory."""
    room = _MOST_OF_PICTURES

    def picture(match: re.Match[str]) -> str:
        nonlocal room
        found = pictures.get(match[1], match[0])
        room -= len(found)
        return found if room >= 0 else "data:,"

    return _CID.sub(picture, text)


def _filtered(text: str) -> Iterator[str]:
    """Write the HTML anew from its tokens, so that a browser cannot read it differently.

    Text that is passed on unchanged can be read in two ways: a `<style>` within `<svg>` holds elements for a browser,
    not a style sheet. In the output every `<` begins a tag and attributes that this module chose.
    """
    if _DOCTYPE.match(text):
        yield "<!DOCTYPE html>"
    for token in tokens(text):
        if isinstance(token, Text):
            if token.of == "style":
                # A style sheet has no entities, so this uses the escape of CSS. A string in it may need a ``<``.
                yield token.text.replace("<", "\\3c ")
            elif token.of in {"", "title", "textarea"}:
                yield token.text.replace("<", "&lt;").replace(">", "&gt;")
        elif _NAME.fullmatch(token.tag) and token.tag not in _LEFT_OUT:
            yield _written(token) if isinstance(token, Start) else f"</{token.tag}>"


def _written(start: Start) -> str:
    """The tag with its harmless attributes. The tooltip of a link shows its former target."""
    given = start.attributes
    kept = {
        name: value for name, value in given.items() if _NAME.fullmatch(name) and not _DOES_SOMETHING.fullmatch(name)
    }
    if not kept.get("src", _HERE).startswith(_HERE):
        del kept["src"]
    target = given.get("href", given.get("xlink:href"))
    if start.tag in _LINKS and target is not None:
        kept |= {"href": "#", "title": target}
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
    return f"<{start.tag}{attributes}>"


def _pictures(submission: Submission) -> dict[str, str]:
    """Maps each Content-ID to a ``data:`` URL."""
    if submission.form == "v2":
        attachments = json.loads(submission.data)["Content"]["Simple"].get("Attachments") or ()
        return {
            str(each["ContentId"]).strip("<>"): _data_url(str(each.get("ContentType") or ""), each["RawContent"])
            for each in attachments
            if each.get("ContentId")
        }
    try:
        message = content.mime(submission.data)
        parts = () if message is None else message.walk()
        return {
            str(part["Content-ID"]).strip().strip("<>"): _data_url(
                part.get_content_type(), base64.b64encode(bytes(part.get_payload(decode=True) or b"")).decode()
            )
            for part in parts
            if part["Content-ID"] and not part.is_multipart()
        }
    except Exception:  # noqa: BLE001 - on broken MIME the standard library's parser may raise anything
        return {}


def _data_url(content_type: str, encoded: str) -> str:
    # Not SVG, because it is the only picture format with markup.
    return f"data:{content_type};base64,{encoded}" if _PICTURE.fullmatch(content_type) else "data:,"
