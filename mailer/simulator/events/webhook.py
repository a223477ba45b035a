"""An HTTP subscriber. It must confirm, then gets posts in order, with the retries of SNS's default policy."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mailer.simulator.events import sns

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from mailer.simulator.clock import Clock
    from mailer.simulator.events.destination import Destination
    from mailer.simulator.events.reach import Reach

_TOO_MANY_REQUESTS = 429
_LONGEST_ANSWER = 64 * 1024
_MOST_BYTES_WAITING = 64 * 1024 * 1024
_MOST_RETRIES = 1000


class NotDelivered(Exception):
    """One try failed. ``again``: whether SNS would try once more."""

    def __init__(self, reason: str, *, again: bool) -> None:
        self.again = again
        super().__init__(reason)


class _Post(NamedTuple):
    """A message that waits for its POST."""

    kind: str
    text: str
    subject: str | None
    message_id: str
    retries_left: int


class Webhook:
    """One endpoint. At most ``keep`` messages wait for it, and at most 64 MB. The oldest make room.

    As with SNS, messages published before the subscription is confirmed are lost.
    """

    def __init__(
        self, destination: Destination, topic: str, sender: sns.Sns, clock: Clock, reach: Reach, keep: int
    ) -> None:
        self.destination = destination
        self._reach = reach
        self.topic = topic
        self._sns = sender
        self._clock = clock
        self._keep = keep
        self.subscription = f"{topic}:{sender.uuid()}"
        self.token = sender.token()
        self.confirmed = not destination.confirm
        self.delivered = 0
        self.failed = 0
        self.dropped = 0
        self.last_error: str | None = None
        self._waiting: deque[_Post] = deque()
        self._bytes = 0
        self._retries: list[asyncio.TimerHandle] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if not self.confirmed:
            self._post_later(_Post("SubscriptionConfirmation", "", None, self._sns.uuid(), self.destination.retries))
        elif self.destination.announce:
            self.send(sns.VALIDATED, sns.SUBJECT)

    def stop(self) -> None:
        self._forget()
        for timer in self._retries:
            timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def confirm(self, token: str) -> bool:
        """Whether ``token`` is right. If it is, messages go out from now on."""
        if token != self.token:
            return False
        if not self.confirmed:
            self.confirmed = True
            if self.destination.announce:
                self.send(sns.VALIDATED, sns.SUBJECT)
        return True

    def unsubscribe(self) -> None:
        self.confirmed = False
        self._forget()

    def send(self, text: str, subject: str | None) -> None:
        if self.confirmed:
            self._post_later(_Post("Notification", text, subject, self._sns.uuid(), self.destination.retries))

    def to_json(self) -> dict[str, Any]:
        return self.destination.to_json() | {
            "topic_arn": self.topic,
            "confirmed": self.confirmed,
            "waiting": len(self._waiting) + len(self._retries),
            "delivered": self.delivered,
            "failed": self.failed,
            "dropped": self.dropped,
            "last_error": self.last_error,
        }

    def _post_later(self, post: _Post) -> None:
        self._waiting.append(post)
        self._bytes += len(post.text)
        while len(self._waiting) > self._keep or self._bytes > _MOST_BYTES_WAITING:
            self._take()
            self.dropped += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._post_all())

    def _take(self) -> _Post:
        post = self._waiting.popleft()
        self._bytes -= len(post.text)
        return post

    def _forget(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    async def _post_all(self) -> None:
        while self._waiting:
            post = self._take()
            try:
                async with asyncio.timeout(self.destination.timeout_seconds):
                    await _post(self.destination.target, self._reach, *self._written(post))
            except (OSError, ValueError, NotDelivered) as error:  # OSError: also a timeout. ValueError: a bad host name
                self.last_error = str(error) or type(error).__name__
                final = isinstance(error, NotDelivered) and not error.again
                if post.retries_left and not final and len(self._retries) < min(self._keep, _MOST_RETRIES):
                    self._again(post)
                else:
                    self.failed += 1
            else:
                self.delivered += 1

    def _again(self, post: _Post) -> None:
        """Try once more after the pause. Later messages do not wait for this one: SNS keeps no order."""

        def again() -> None:
            self._retries.remove(timer)
            self._post_later(post._replace(retries_left=post.retries_left - 1))

        timer = asyncio.get_running_loop().call_later(self.destination.retry_seconds, again)
        self._retries.append(timer)

    def _written(self, post: _Post) -> tuple[dict[str, str], bytes]:
        """Headers and body. Signs them here, not earlier: that takes almost a millisecond, and sends come first."""
        headers = {
            "x-amz-sns-message-type": post.kind,
            "x-amz-sns-message-id": post.message_id,
            "x-amz-sns-topic-arn": self.topic,
            "Content-Type": "text/plain; charset=UTF-8",
            "User-Agent": "Amazon Simple Notification Service Agent",
        }
        now, version = self._clock.now(), self.destination.signature_version
        if post.kind == "SubscriptionConfirmation":
            text = sns.body(self._sns.confirmation(self.topic, post.message_id, self.token, now, version))
        else:
            headers["x-amz-sns-subscription-arn"] = self.subscription
            if self.destination.raw:
                headers["x-amz-sns-rawdelivery"] = "true"
                text = post.text
            else:
                envelope = self._sns.notification(
                    self.topic, self.subscription, post.message_id, post.text, post.subject, now, version
                )
                text = sns.body(envelope)
        return headers, text.encode()


async def _post(url: str, reach: Reach, headers: dict[str, str], body: bytes) -> None:
    """Send one POST on its own connection. Raises ``NotDelivered``. Does not follow redirects."""
    address = urlsplit(url)
    reader, writer = await _connect(address, reach)
    try:
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        status = _status(await reader.readline())
        while status == 100:
            await reader.readuntil(b"\r\n\r\n")
            status = _status(await reader.readline())
        await reader.read(_LONGEST_ANSWER)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise NotDelivered(f"{url} answered what is not HTTP", again=True) from error
    finally:
        writer.transport.abort()
    if not 200 <= status < 300:
        # SNS tries again after a server error or a throttle. Any other 4xx is final.
        again = not 400 <= status < 500 or status == _TOO_MANY_REQUESTS
        raise NotDelivered(f"{url} answered {status}", again=again)


async def _connect(address: SplitResult, reach: Reach) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    secure = address.scheme == "https"
    host, port = address.hostname or "", address.port or (443 if secure else 80)
    options: dict[str, Any] = {"ssl": _any_certificate(), "server_hostname": host} if secure else {}
    *others, last = await reach.addresses(host, port)
    for each in others:
        with suppress(OSError):
            return await asyncio.open_connection(each, port, **options)
    return await asyncio.open_connection(last, port, **options)


def _any_certificate() -> ssl.SSLContext:
    """Accept any certificate: a test's endpoint has a self-made one, and the events sent to it are no secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError(line)
    return int(rest[:3])
