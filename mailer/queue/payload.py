"""The payload: the arguments of the task ``mailer.send``, as they are stored in the queue.

There are two forms. `send_many` writes them *by reference*::

    {"to": "Jane <jane@example.com>", "vars": {"name": "Jane"}}

The envelope's header ``mailer_content`` holds the hash of the stored content. It stands only there, so that the queue's
scripts can count references and the envelope stays small. The content is fields, templates, or raw MIME, which needs no
``vars``. The other form is *inline*. Foreign producers may send it too, with stock Celery::

    {"to": ..., "sender": ..., "subject": ..., "text": ..., "html": ..., "reply_to": [...], "headers": {...},
     "attachments": [{"filename": ..., "content": "<base64>", "content_type": ..., "content_id": ...}],
     "configuration_set": ..., "tags": {...}, "list_unsubscribe": ...}

Both may carry the version, ``"v": 1``. Without it, as here to save space, the version is 1.

Everything from the queue is validated before use: whoever can write to Redis can send mail, but not inject headers.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from typing import Any, TypeGuard

import orjson

from mailer.errors import InvalidMessage, UnknownVersion
from mailer.mail.address import parse
from mailer.mail.content import Structured, hash_of
from mailer.mail.fields import FIELDS
from mailer.mail.header import kind
from mailer.mail.message import Content, Message, content_of
from mailer.mail.raw import MARK
from mailer.mail.template.bounds import MAX_CHARS, MAX_STEPS, Heavy, Meter
from mailer.queue.bounds import TOO_MANY_VALUES, has_too_many_values

VERSION = 1

_CACHED_BYTES = 64 * 1024 * 1024
_REFUSAL_BYTES = 2048
# A mail of this size is rendered, encoded, hashed and signed in about a millisecond.
_LIGHT_BYTES = 256 * 1024
# A template takes about two milliseconds for these.
_LIGHT_STEPS = 5_000
_LIGHT_CHARS = 256 * 1024
# Content of this size is parsed in a few milliseconds.
_HEAVY_BYTES = 1024 * 1024
_HASH = re.compile(r"[0-9a-f]{32}")
_REFERENCE_KEYS = frozenset({"v", "to", "vars"})
_INLINE_KEYS = frozenset({"v", "to", *FIELDS})


def inline(to: str, content: Structured) -> dict[str, Any]:
    """The arguments that carry a message whole. ``content`` must be literal, not templates."""
    return {"to": to, **content.as_json()}


def decode(
    kwargs: Mapping[str, Any],
    fetch_content: Callable[[str], bytes | None],
    *,
    message_id: str,
    content_hash: object = None,
    patient: bool = True,
) -> Message:
    """The message that the task's arguments describe, validated and rendered.

    ``content_hash`` is the envelope's header, None for an inline message. ``fetch_content`` reads stored content by its
    hash (`Queue.content`). Parsed content is cached, up to 64 MB per process. Raises UnknownVersion, InvalidMessage
    that names the field, and the errors of ``fetch_content``. Unless ``patient``, raises Heavy for a message that takes
    more than a few milliseconds, because others may wait behind it.
    """
    if not isinstance(kwargs, dict):
        raise InvalidMessage("kwargs", f"are {kind(kwargs)}", "Pass everything by name")
    version = kwargs.get("v", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise UnknownVersion("v", version, VERSION)
    by_reference = content_hash is not None
    unknown = kwargs.keys() - (_REFERENCE_KEYS if by_reference else _INLINE_KEYS)
    if unknown:
        raise InvalidMessage(f"{min(unknown)!s:.80}", "is not an argument of mailer.send", "Remove it")
    if "to" not in kwargs:
        raise InvalidMessage("to", "is missing", "Pass one recipient's address")
    to = parse(kwargs["to"], "to")
    if by_reference:
        variables = kwargs.get("vars", {})
        if not isinstance(variables, dict):
            raise InvalidMessage("vars", f"is {kind(variables)}", "Pass a dict of names to values")
        kept = _find(content_hash, fetch_content, patient=patient)
        return Message(message_id, to, kept.render(variables, patient=patient))
    if not patient and _bytes_of(kwargs) > _HEAVY_BYTES:
        raise Heavy
    fields = {name: value for name, value in kwargs.items() if name not in ("v", "to")}
    return Message(message_id, to, Structured.from_json(fields).render({}))


def _bytes_of(kwargs: Mapping[str, Any]) -> int:
    """The total length of the bodies and files of an inline message."""
    files = kwargs.get("attachments")
    parts = [file.get("content") for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    parts += [kwargs.get("text"), kwargs.get("html")]
    return sum(len(part) for part in parts if isinstance(part, str))


def is_light(kwargs: Mapping[str, Any], content_hash: object, size: int) -> bool:
    """Whether an event loop may `decode` the message (not ``patient``) and build its request.

    True means that this fetches nothing and ends at once. ``size`` is the envelope's bytes.
    """
    if size > _LIGHT_BYTES:
        return False
    if content_hash is not None:
        if not is_hash(content_hash):
            return True
        kept = _cache.peek(content_hash)
        return kept is not None and kept.is_light
    return not isinstance(kwargs, dict) or not kwargs.get("attachments")


def is_missing(content_hash: object) -> TypeGuard[str]:
    """Whether ``content_hash`` is the hash of content that is not in the cache and must be fetched."""
    return is_hash(content_hash) and _cache.peek(content_hash) is None


def is_hash(content_hash: object) -> TypeGuard[str]:
    """Whether content can lie under this name: the scripts release no other."""
    return isinstance(content_hash, str) and _HASH.fullmatch(content_hash) is not None


class _Kept:
    """Parsed content. ``is_light`` becomes false when its templates have taken long: they may do so again."""

    def __init__(self, content: Content, stored: int) -> None:
        self.content = content
        self.size = stored + content.weight
        self.is_light = stored <= _LIGHT_BYTES
        self.is_heavy = stored > _HEAVY_BYTES

    def render(self, variables: Mapping[str, object], *, patient: bool) -> Content:
        if self.is_heavy and not patient:
            raise Heavy
        if not self.content.templates:
            return self.content.render(variables)
        meter = Meter() if patient else Meter(_LIGHT_STEPS, _LIGHT_CHARS, heavy=True)
        try:
            return self.content.render(variables, meter)
        finally:
            if patient and (MAX_STEPS - meter.steps > _LIGHT_STEPS or MAX_CHARS - meter.chars > _LIGHT_CHARS):
                self.is_light, self.is_heavy = False, True


class _Refused:
    """The error of invalid content. It is cached so that the content is not fetched and parsed for each message."""

    is_light = True

    def __init__(self, error: InvalidMessage, stored: int) -> None:
        self.size = stored + _REFUSAL_BYTES
        # A copy has no traceback. A traceback would keep the content in memory.
        self._error = copy(error)

    def render(self, _: Mapping[str, object], *, patient: bool) -> Content:  # noqa: ARG002 - as the others'
        raise copy(self._error)


class _Cache:
    """A cache of parsed contents by hash. It keeps the most recently used, up to ``max_bytes``. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._contents: OrderedDict[str, _Kept | _Refused] = OrderedDict()
        self._lock = threading.Lock()

    def peek(self, digest: str) -> _Kept | _Refused | None:
        return self._contents.get(digest)

    def get(self, digest: str) -> _Kept | _Refused | None:
        with self._lock:
            found = self._contents.get(digest)
            if found is not None:
                self._contents.move_to_end(digest)
            return found

    def put(self, digest: str, kept: _Kept | _Refused) -> None:
        with self._lock:
            if kept.size > self._max_bytes or digest in self._contents:
                return
            self._contents[digest] = kept
            self._bytes += kept.size
            while self._bytes > self._max_bytes:
                _, oldest = self._contents.popitem(last=False)
                self._bytes -= oldest.size


_cache = _Cache(_CACHED_BYTES)


def _find(digest: object, fetch_content: Callable[[str], bytes | None], *, patient: bool) -> _Kept | _Refused:
    if not is_hash(digest):
        raise InvalidMessage("content", "is not the hash of a stored content", "Pass the fields of the message instead")
    kept = _cache.get(digest)
    if kept is None:
        stored = fetch_content(digest)
        if stored is None:
            raise InvalidMessage("content", f"{digest} is not stored any more", "Send the message again")
        if hash_of(stored) != digest:
            raise InvalidMessage("content", f"{digest} is not what is stored under it", "Send the message again")
        if not patient and _is_heavy(stored):
            raise Heavy
        try:
            check_values(stored)
            kept = _Kept(content_of(stored), len(stored))
        except InvalidMessage as error:
            kept = _Refused(error, len(stored))
        _cache.put(digest, kept)
    return kept


def check_values(stored: bytes) -> None:
    """Raises InvalidMessage for a structured content whose JSON may stand for more values than one mail needs."""
    if not stored.startswith(MARK) and has_too_many_values(stored):
        raise InvalidMessage("content", TOO_MANY_VALUES, "Put long lists into an attachment")


def _is_heavy(stored: bytes) -> bool:
    """Whether it takes long to parse a content: it is large, or has templates that must be compiled."""
    if len(stored) > _HEAVY_BYTES:
        return True
    with suppress(orjson.JSONDecodeError):
        fields = orjson.loads(stored)
        return isinstance(fields, dict) and bool(fields.get("templates"))
    return False
