"""The mail that the simulator accepted: the newest messages whole, and a short row for every recipient."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_log = logging.getLogger(__name__)

_BLOCK = 1024
_USUAL = 10_000


class RenderingFailure(NamedTuple):
    """Why a template gave no mail. ``template`` is empty if the template came with the call."""

    template: str
    text: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A message as it came in, through any door.

    ``data`` is the message in the client's ``form``: the JSON body of a v2 SendEmail, or MIME. Mail from templates and
    from the v1 API's SendEmail is converted to a v2 SendEmail with ``Simple`` content. Parsing happens only when
    somebody looks at the message.
    """

    region: str
    transport: Literal["http", "smtp"]
    sender: str
    recipients: tuple[str, ...]
    form: Literal["v2", "mime"]
    data: bytes
    tags: Mapping[str, str]
    configuration_set: str | None = None
    invocation_id: str | None = None
    """``amz-sdk-invocation-id``. All attempts of an AWS SDK at one call have the same id."""
    rendering_failure: RenderingFailure | None = None
    """Set when SES took the mail but cannot render it. SES charges it and sends it to nobody."""


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted submission. ``number`` counts from 1. ``at`` is in epoch seconds."""

    number: int
    at: float
    ses_id: str
    submission: Submission


class Row(NamedTuple):
    """One recipient of one accepted message. ``message_id`` is the value of the inbox's ``row_tag``, or empty."""

    at: float
    recipient: str
    ses_id: str
    message_id: str


class Inbox:
    """Keeps at most ``keep`` messages, ``keep_bytes`` of their data, and ``keep_rows`` rows.

    Rows outlive their messages. They serve to check a long run ("each exactly once") and cost about 150 bytes each.
    """

    def __init__(self, keep: int, keep_bytes: int, keep_rows: int, row_tag: str) -> None:
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._keep_blocks = max(1, -(-keep_rows // _BLOCK))
        self.row_tag = row_tag
        self._number = 0
        self._told = False
        self.clear()

    def clear(self) -> None:
        """Forget messages and rows. Numbers continue, so that a reader's position stays valid."""
        self._messages: deque[Message] = deque()
        self._by_id: dict[str, Message] = {}
        self._bytes = 0
        self.dropped = 0
        """How many messages made room for newer ones since the last clear."""
        # A million Python tuples would take half a gigabyte, so a block is one joined bytes object.
        self._blocks: deque[bytes] = deque(maxlen=self._keep_blocks)
        self._open_block: list[str] = []
        self._rows = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def rows_kept(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._open_block)

    @property
    def rows_seen(self) -> int:
        """How many rows came in since the last clear, kept or not."""
        return self._rows

    def add(self, at: float, ses_id: str, submission: Submission) -> Message:
        self._number += 1
        message = Message(self._number, at, ses_id, submission)
        self._messages.append(message)
        self._by_id[ses_id] = message
        self._bytes += _size(submission)
        while len(self._messages) > self._keep or self._bytes > self._keep_bytes:
            self._drop_oldest()
        message_id = submission.tags.get(self.row_tag, "")
        for recipient in submission.recipients:
            self._open_block.append(f"{at:.6f}\t{recipient}\t{ses_id}\t{message_id}")
            if len(self._open_block) == _BLOCK:
                self._blocks.append("\n".join(self._open_block).encode())
                self._open_block.clear()
        self._rows += len(submission.recipients)
        return message

    def _drop_oldest(self) -> None:
        oldest = self._messages.popleft()
        del self._by_id[oldest.ses_id]
        self._bytes -= _size(oldest.submission)
        self.dropped += 1
        if not self._told and self._keep >= _USUAL:  # a smaller ``keep`` was asked for, so dropping is expected
            self._told = True
            _log.warning(
                "%s messages are kept, or %s MB of them: from here on the oldest make room (--keep, --keep-bytes)",
                self._keep,
                self._keep_bytes // (1024 * 1024),
            )

    def get(self, ses_id: str) -> Message | None:
        return self._by_id.get(ses_id)

    def messages(self, after: int = 0) -> Iterator[Message]:
        """The messages kept, oldest first, from the first one after number ``after``."""
        if not self._messages:
            return iter(())
        return islice(self._messages, max(0, after + 1 - self._messages[0].number), None)

    def rows(self, after: int = 0) -> Iterator[Row]:
        """The rows kept, oldest first. Skips the first ``after`` since the last clear."""
        skip = max(0, after - (self.rows_seen - self.rows_kept))
        first_block, skip_in_block = divmod(skip, _BLOCK)
        for block in islice(self._blocks, first_block, None):
            for line in block.decode().split("\n")[skip_in_block:]:
                yield _row(line)
            skip_in_block = 0
        if first_block <= len(self._blocks):
            for line in self._open_block[skip_in_block:]:
                yield _row(line)


def _size(submission: Submission) -> int:
    tags = sum(len(name) + len(value) for name, value in submission.tags.items())
    return len(submission.data) + sum(map(len, submission.recipients)) + tags


def _row(line: str) -> Row:
    at, recipient, ses_id, message_id = line.split("\t")
    return Row(float(at), recipient, ses_id, message_id)
