"""How a taken message is settled: the verbs of ``take.lua``, the effects of each, and their arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Place = Literal["gone", "head", "tail", "schedule", "dead", "held", ""]
"""Where a message lies afterwards. ``head`` and ``tail`` are those of its lane; empty means where it was."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb, as the scripts carry it out and as records keep it.

    ``words`` are for people. ``state`` is the state of a message whose record ends with this verb and that is no longer
    in the queue.
    """

    to: Place
    permit_back: bool
    quota_back: bool
    words: str
    state: str = ""


VERBS = {
    "sent": Verb("gone", False, False, "sent", "sent"),
    "forget": Verb("gone", True, True, "discarded", "discarded"),
    "back": Verb("head", True, True, "back to the head of its lane"),
    "unfit": Verb("head", True, True, "its worker's host could not send it; back to the head of its lane"),
    "throttled": Verb("head", False, True, "SES refused the rate; back to the head of its lane"),
    "over_quota": Verb("head", False, True, "SES refused for the quota; back to the head of its lane"),
    "stop": Verb("head", False, True, "the account was stopped; back to the head of its lane"),
    "retry": Verb("schedule", False, True, "not accepted; to be tried again"),
    "resend": Verb("schedule", False, False, "perhaps accepted; to be sent again"),
    "defer": Verb("schedule", True, True, "the key may not send it; to be tried later"),
    "dead": Verb("dead", False, True, "set aside as a dead letter"),
    "hold": Verb("held", False, False, "held: it may have been sent"),
    # These are for messages that no worker holds. `take.lua` writes the first, `move.lua` the others.
    "lost": Verb("tail", False, False, "its worker was lost; to be sent again"),
    "requeue": Verb("tail", False, False, "requeued by a person"),
    "drop": Verb("gone", False, False, "dropped by a person", "dropped"),
}
"""Verbs by their names in Redis."""


class Settlement(NamedTuple):
    """One verb with its two arguments, and the note for the message's record: ``""`` writes none."""

    verb: str
    first: Any = ""
    second: Any = ""
    note: str = ""

    @property
    def to_head(self) -> bool:
        return VERBS[self.verb].to == "head"

    @property
    def permit_back(self) -> bool:
        return VERBS[self.verb].permit_back

    @classmethod
    def sent(cls, message_id: str, host: str = "", note: str = "") -> Settlement:
        """SES has it. ``host`` is this worker's name if the send ends a doubt whether the worker can send."""
        return cls("sent", message_id, host, note)

    @classmethod
    def forget(cls, note: str = "") -> Settlement:
        """It was not sent and never will be: its idempotency key is free again."""
        return cls("forget", note=note)

    @classmethod
    def back(cls) -> Settlement:
        """It was not tried."""
        return cls("back")

    @classmethod
    def unfit(cls, worker: str, why: str, note: str = "") -> Settlement:
        """This worker's host could not send it. `Keys.hosts` lists the worker. Addresses in ``why`` must be masked."""
        return cls("unfit", worker, why, note)

    @classmethod
    def throttled(cls, note: str = "") -> Settlement:
        """Frequent refusals cut the rate that all workers share."""
        return cls("throttled", note=note)

    @classmethod
    def over_quota(cls, code: str, words: str, note: str = "") -> Settlement:
        """The quota that we did not use counts as used by others. If no quota is known, it is the same as `stop`."""
        return cls("over_quota", code, words, note)

    @classmethod
    def stop(cls, code: str, words: str, note: str = "") -> Settlement:
        """No host of the account may send. Now and then one probe is handed out. ``words`` are SES's."""
        return cls("stop", code, words, note)

    @classmethod
    def retry(cls, seconds: float, envelope: bytes, note: str = "") -> Settlement:
        """It was surely not sent. ``envelope`` comes due in ``seconds``."""
        return cls("retry", int(seconds * 1e6), envelope, note)

    @classmethod
    def resend(cls, seconds: float, envelope: bytes, note: str = "") -> Settlement:
        """It may have been sent. ``envelope`` comes due in ``seconds``."""
        return cls("resend", int(seconds * 1e6), envelope, note)

    @classmethod
    def defer(cls, due_us: int, envelope: bytes, note: str = "") -> Settlement:
        """It was not tried, or its attempt does not count. ``envelope`` comes due at ``due_us``, epoch microseconds."""
        return cls("defer", due_us, envelope, note)

    @classmethod
    def dead(cls, code: str, words: str, note: str = "") -> Settlement:
        return cls("dead", code, words, note)

    @classmethod
    def hold(cls, code: str, words: str, note: str = "") -> Settlement:
        """It may have been sent. It is not sent again until somebody decides that."""
        return cls("hold", code, words, note)
