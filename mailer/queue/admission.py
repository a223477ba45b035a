"""Decide which envelopes go to Celery. All others are set aside, and their bodies are not decoded."""

from __future__ import annotations

import re
from typing import Any

import orjson

from mailer.mail.message_id import LONGEST_ID
from mailer.queue.bounds import TOO_MANY_VALUES, has_too_many_values, shortened
from mailer.queue.envelope import due_us
from mailer.queue.headers import CONTENT_HEADER, TASK

UNDECODABLE = "Undecodable"
"""Code of dead letters that could not be read."""
UNKNOWN_TASK = "UnknownTask"
NOT_SUPPORTED = "NotSupported"

_ID = re.compile(rf"[!-~]{{1,{LONGEST_ID}}}")
_WRITTEN = ("", "utf-8", "base64")
_NAMES_CONTENT = f'"{CONTENT_HEADER}"'.encode()


class NotAdmitted(Exception):
    """The message becomes a dead letter with this ``code`` and these ``words``."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, shortened(words)


def admitted(envelope: bytes, lane: str) -> tuple[dict[str, Any], int]:
    """The kombu message in ``envelope``, and when it is due (`due_us`). Raises NotAdmitted.

    Its delivery info is replaced by ``lane``, where it was taken from: a wrong one could prevent its acknowledgement.
    """
    if has_too_many_values(envelope):
        raise NotAdmitted(UNDECODABLE, f"It {TOO_MANY_VALUES}, and was not opened")
    try:
        message = orjson.loads(envelope)
    except orjson.JSONDecodeError as error:
        raise NotAdmitted(UNDECODABLE, f"It is not JSON: {error}") from error
    try:
        headers, properties = message["headers"], message["properties"]
        _check_headers(headers)
        _check_content(envelope, headers)
        _check_encoding(message, headers, properties)
        due = due_us(headers)
        properties["delivery_info"] = {"exchange": "", "routing_key": lane}
    except NotAdmitted:
        raise
    except Exception as error:
        raise NotAdmitted(UNDECODABLE, f"It is JSON, but no Celery message: {words_of(error)}") from error
    return message, due


def words_of(error: Exception) -> str:
    """The words of an error about a message."""
    return f"it has no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"


def _check_headers(headers: dict[str, Any]) -> None:
    name, task, retries = headers["id"], headers["task"], headers.get("retries")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"header id is not 1 to {LONGEST_ID} characters of printable ASCII without a space")
    if not isinstance(task, str):
        raise TypeError("header task is not text")
    if task != TASK:
        raise NotAdmitted(UNKNOWN_TASK, f"There is no task {task!r:.200} here. Send to {TASK}")
    if not isinstance(retries, int | None) or (retries or 0) < 0:
        raise TypeError("header retries is not a number from 0")


def _check_content(envelope: bytes, headers: dict[str, Any]) -> None:
    # The scripts look for this name in the bytes. They and the worker must mean the same content.
    if envelope.count(_NAMES_CONTENT) != (CONTENT_HEADER in headers):
        raise ValueError(f"{CONTENT_HEADER} stands in it twice, or outside of the headers, or with escapes")


def _check_encoding(message: dict[str, Any], headers: dict[str, Any], properties: dict[str, Any]) -> None:
    if headers.get("compression") or properties.get("compression"):
        raise NotAdmitted(NOT_SUPPORTED, "compression: none is known here, and it was not opened. Send it plain")
    kind, encoding, written = message.get("content-type"), message.get("content-encoding"), message.get("body")
    if kind != "application/json":
        raise NotAdmitted(UNDECODABLE, f"content-type: is {kind!r:.200}, and it was not opened. Send application/json")
    if not isinstance(encoding, str) or encoding.lower() != "utf-8":
        raise NotAdmitted(UNDECODABLE, f"content-encoding: is {encoding!r:.200}, and it was not opened. Send utf-8")
    if not isinstance(written, str):
        raise TypeError("its body is not text")
    as_what = properties.get("body_encoding")
    if as_what is not None and as_what not in _WRITTEN:
        raise NotAdmitted(UNDECODABLE, f"body_encoding: is {as_what!r:.200}. Write the body as text or base64")
    message["content-encoding"] = "utf-8"
