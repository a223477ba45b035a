"""The part of SQS's API that a consumer of events needs, in AWS JSON 1.0 (boto3's protocol since 1.28).

This is our own code instead of moto's server. That server would be a second process. Its clock cannot be advanced, it
has no memory bound, and it installs a hundred megabytes of packages. Ten operations do not justify that.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from mailer.simulator.events.event import ACCOUNT
from mailer.simulator.events.queue import Item, Queue
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from mailer.simulator.clock import Clock
    from mailer.simulator.exchange import Request

    Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

TARGET = b"x-amz-target"
_PREFIX = "AmazonSQS."
_MOST_AT_ONCE = 10
_LONGEST_WAIT = 20
_LONGEST_BODY = 1024 * 1024
_MOST_QUEUES = 1000
_MOST_ATTRIBUTES = 50
_LONGEST_ATTRIBUTE = 64 * 1024
_LONGEST_HIDING = 12 * 60 * 60


class SqsError(Exception):
    """Answers 400. ``code`` is SQS's, ``old_code`` that of the Query protocol, which boto3 still shows."""

    def __init__(self, code: str, text: str, old_code: str | None = None) -> None:
        self.code = code
        self.old_code = old_code or code
        super().__init__(text)


class Sqs:
    """All queues, and the operations on them. Each queue holds at most ``keep`` messages."""

    def __init__(self, clock: Clock, random: Random, keep: int) -> None:
        self._clock = clock
        self._random = random
        self._keep = keep
        self.queues: dict[str, Queue] = {}
        self.url = ""
        """The simulator's address, set once it listens."""
        self._operations: dict[str, Operation] = {
            "CreateQueue": self._create_queue,
            "DeleteQueue": self._delete_queue,
            "GetQueueUrl": self._get_queue_url,
            "ListQueues": self._list_queues,
            "GetQueueAttributes": self._get_queue_attributes,
            "SetQueueAttributes": self._set_queue_attributes,
            "PurgeQueue": self._purge_queue,
            "SendMessage": self._send_message,
            "ReceiveMessage": self._receive_message,
            "DeleteMessage": self._delete_message,
            "DeleteMessageBatch": self._delete_message_batch,
            "ChangeMessageVisibility": self._change_message_visibility,
            "ChangeMessageVisibilityBatch": self._change_message_visibility_batch,
        }

    def queue(self, name: str) -> Queue:
        """The queue of that name. Makes it if it does not exist."""
        if name not in self.queues:
            self.queues[name] = Queue(name, self._clock, self._random, self._keep)
        return self.queues[name]

    def delete(self, name: str) -> None:
        self.queues.pop(name).delete_all()

    def clear(self) -> None:
        for name in list(self.queues):
            self.delete(name)

    async def handle(self, request: Request) -> Reply:
        """The answer to a ``POST`` to any path. ``X-Amz-Target`` names the operation."""
        target = request.headers[TARGET].decode("latin-1")
        operation = self._operations.get(target.removeprefix(_PREFIX), _unsupported)
        try:
            return _answer(200, await operation(_call(request.body)))
        except SqsError as error:
            answer = {"__type": f"com.amazonaws.sqs#{error.code}", "message": str(error)}
            return _answer(400, answer, {"x-amzn-query-error": f"{error.old_code};Sender"})

    # Queues

    async def _create_queue(self, call: dict[str, Any]) -> dict[str, Any]:
        name = _text(call, "QueueName")
        if not (0 < len(name) <= 80 and name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise SqsError(
                "InvalidParameterValue",
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            )
        if name not in self.queues and len(self.queues) >= _MOST_QUEUES:
            raise SqsError("OverLimit", f"The simulator has {_MOST_QUEUES} queues at most.")
        _set_attributes(self.queue(name), call)
        return {"QueueUrl": self.url_of(name)}

    async def _delete_queue(self, call: dict[str, Any]) -> dict[str, Any]:
        self.delete(self._named(call).name)
        return {}

    async def _get_queue_url(self, call: dict[str, Any]) -> dict[str, Any]:
        name = _text(call, "QueueName")
        if name not in self.queues:
            raise _no_queue()
        return {"QueueUrl": self.url_of(name)}

    async def _list_queues(self, call: dict[str, Any]) -> dict[str, Any]:
        prefix = _text(call, "QueueNamePrefix", "")
        return {"QueueUrls": [self.url_of(name) for name in sorted(self.queues) if name.startswith(prefix)]}

    async def _get_queue_attributes(self, call: dict[str, Any]) -> dict[str, Any]:
        queue = self._named(call)
        visible, hidden = queue.counts()
        has = {
            "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue.name}",
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": "0",
            "CreatedTimestamp": str(int(queue.created_at)),
            "LastModifiedTimestamp": str(int(queue.created_at)),
            "VisibilityTimeout": f"{queue.visibility_seconds:g}",
            "ReceiveMessageWaitTimeSeconds": f"{queue.wait_seconds:g}",
            "MaximumMessageSize": "262144",
            "MessageRetentionPeriod": "345600",
            "DelaySeconds": "0",
            **queue.attributes,
        }
        wanted = _texts(call, "AttributeNames")
        if "All" in wanted:
            return {"Attributes": has}
        if unknown := [name for name in wanted if name not in has and name not in _OTHER_ATTRIBUTES]:
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
        return {"Attributes": {name: has[name] for name in wanted if name in has}}

    async def _set_queue_attributes(self, call: dict[str, Any]) -> dict[str, Any]:
        _set_attributes(self._named(call), call)
        return {}

    async def _purge_queue(self, call: dict[str, Any]) -> dict[str, Any]:
        self._named(call).purge()
        return {}

    # Messages

    async def _send_message(self, call: dict[str, Any]) -> dict[str, Any]:
        queue, body = self._named(call), _text(call, "MessageBody")
        if len(body) > _LONGEST_BODY:
            raise SqsError(
                "InvalidParameterValue",
                f"One or more parameters are invalid. Reason: Message must be shorter than {_LONGEST_BODY} bytes.",
            )
        return {"MessageId": queue.put(body, len(body)).id, "MD5OfMessageBody": _md5(body)}

    async def _receive_message(self, call: dict[str, Any]) -> dict[str, Any]:
        queue = self._named(call)
        most = _number(call, "MaxNumberOfMessages", 1, _MOST_AT_ONCE, 1)
        hiding = _number(call, "VisibilityTimeout", 0, _LONGEST_HIDING, int(queue.visibility_seconds))
        wait = _number(call, "WaitTimeSeconds", 0, _LONGEST_WAIT, int(queue.wait_seconds))
        items = await queue.receive(most, hiding, wait)
        wanted = {*_texts(call, "AttributeNames"), *_texts(call, "MessageSystemAttributeNames")}
        return {"Messages": [_described(item, wanted) for item in items]} if items else {}

    async def _delete_message(self, call: dict[str, Any]) -> dict[str, Any]:
        queue, receipt = self._named(call), _text(call, "ReceiptHandle")
        if not queue.delete(receipt):
            raise _wrong_receipt(receipt)
        return {}

    async def _delete_message_batch(self, call: dict[str, Any]) -> dict[str, Any]:
        queue = self._named(call)
        return _batch(call, lambda entry: queue.delete(_text(entry, "ReceiptHandle")))

    async def _change_message_visibility(self, call: dict[str, Any]) -> dict[str, Any]:
        queue, receipt = self._named(call), _text(call, "ReceiptHandle")
        if not queue.hide(receipt, _number(call, "VisibilityTimeout", 0, _LONGEST_HIDING)):
            raise _wrong_receipt(receipt)
        return {}

    async def _change_message_visibility_batch(self, call: dict[str, Any]) -> dict[str, Any]:
        queue = self._named(call)
        return _batch(
            call,
            lambda entry: queue.hide(
                _text(entry, "ReceiptHandle"), _number(entry, "VisibilityTimeout", 0, _LONGEST_HIDING)
            ),
        )

    def _named(self, call: dict[str, Any]) -> Queue:
        queue = self.queues.get(_text(call, "QueueUrl").rpartition("/")[2])
        if queue is None:
            raise _no_queue()
        return queue

    def url_of(self, name: str) -> str:
        return f"{self.url}/{ACCOUNT}/{name}"


_OTHER_ATTRIBUTES = {"Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled"}


async def _unsupported(_call: dict[str, Any]) -> dict[str, Any]:
    raise SqsError("UnsupportedOperation", "The simulator has no such operation")


def _set_attributes(queue: Queue, call: dict[str, Any]) -> None:
    attributes = call.get("Attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise SqsError("InvalidAttributeValue", "Attributes are names and texts")
    most = max((len(name) + len(value) for name, value in attributes.items()), default=0)
    if len(attributes) > _MOST_ATTRIBUTES or most > _LONGEST_ATTRIBUTE:
        raise SqsError("InvalidAttributeValue", "The simulator keeps few attributes, and short ones")
    try:
        for name, value in attributes.items():
            if name == "VisibilityTimeout":
                queue.visibility_seconds = float(_within(value, _LONGEST_HIDING))
            elif name == "ReceiveMessageWaitTimeSeconds":
                queue.wait_seconds = float(_within(value, _LONGEST_WAIT))
            else:
                queue.attributes[str(name)] = value
                if len(queue.attributes) > _MOST_ATTRIBUTES:
                    queue.attributes.pop(next(iter(queue.attributes)))
    except ValueError:
        raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.") from None


def _within(text: str, most: int) -> int:
    number = int(text)
    if not 0 <= number <= most:
        raise ValueError
    return number


def _described(item: Item, wanted: set[str]) -> dict[str, Any]:
    attributes = {
        "SenderId": ACCOUNT,
        "SentTimestamp": str(int(item.sent_at * 1000)),
        "ApproximateReceiveCount": str(item.received),
        "ApproximateFirstReceiveTimestamp": str(int((item.first_received_at or item.sent_at) * 1000)),
    }
    shown = {name: value for name, value in attributes.items() if name in wanted or "All" in wanted}
    return {
        "MessageId": item.id,
        "ReceiptHandle": item.receipt,
        "MD5OfBody": _md5(item.body),
        "Body": item.body,
        **({"Attributes": shown} if shown else {}),
    }


def _batch(call: dict[str, Any], act: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    entries = call.get("Entries")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > _MOST_AT_ONCE:
        raise SqsError("TooManyEntriesInBatchRequest", f"Maximum number of entries per request are {_MOST_AT_ONCE}.")
    ids = [_text(entry, "Id") for entry in entries]
    if len(set(ids)) != len(ids):
        raise SqsError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    done = [act(entry) for entry in entries]
    failed = {
        "SenderFault": True,
        "Code": "ReceiptHandleIsInvalid",
        "Message": "The input receipt handle is invalid.",
    }
    return {
        "Successful": [{"Id": name} for name, good in zip(ids, done, strict=True) if good],
        "Failed": [{"Id": name, **failed} for name, good in zip(ids, done, strict=True) if not good],
    }


def _answer(status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps(answer).encode()
    return Reply(status, body, content_type=b"application/x-amz-json-1.0", headers=headers)


def _call(body: bytes) -> dict[str, Any]:
    try:
        call = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        call = None
    if not isinstance(call, dict):
        raise SqsError("SerializationException", "The request body is not a JSON object")
    return call


def _text(call: dict[str, Any], name: str, default: str | None = None) -> str:
    value = call.get(name, default)
    if not isinstance(value, str):
        raise SqsError("MissingParameter", f"The request must contain the parameter {name}.")
    return value


def _texts(call: dict[str, Any], name: str) -> list[str]:
    value = call.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SqsError("InvalidParameterValue", f"{name} is not a list of texts")
    return value


def _number(call: dict[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = call.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise SqsError(
            "InvalidParameterValue",
            f"Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided.",
        )
    return value


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _no_queue() -> SqsError:
    return SqsError(
        "QueueDoesNotExist", "The specified queue does not exist.", "AWS.SimpleQueueService.NonExistentQueue"
    )


def _wrong_receipt(receipt: str) -> SqsError:
    return SqsError("ReceiptHandleIsInvalid", f'The input receipt handle "{receipt}" is not a valid receipt handle.')
