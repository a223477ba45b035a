"""The names of an account's keys in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.account import Account


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of one account, all under one hash tag.

    A lane's key is like ``mailer:{default}:bulk``. A control key is like ``mailer:{default}@account``. ``prefix`` is
    the prefix of lanes, with the colon. Stock Celery with this ``global_keyprefix`` writes a queue's messages to the
    lane of the same name. No queue name can produce a control key, because these have no colon after the brace.
    """

    prefix: str

    def __post_init__(self) -> None:
        if not self.prefix.endswith("}:"):
            raise ValueError(f"global_keyprefix {self.prefix!r}: does not end with }}: as that of an account does")

    @classmethod
    def of(cls, account: Account) -> Keys:
        return cls(f"{account.key_prefix}{{{account.account}}}:")

    def lane(self, lane: str) -> str:
        """List of envelopes. Producers push at the left, take pops at the right."""
        return self.prefix + lane

    def suspects(self, lane: str) -> str:
        """List of the lane's envelopes whose worker was lost. A worker holds at most one of them at a time."""
        return f"{self._control}suspects:{lane}"

    def large(self, lane: str) -> str:
        """List of the lane's large envelopes. They have a list of their own so that other messages pass them."""
        return f"{self._control}large:{lane}"

    @property
    def _control(self) -> str:
        return self.prefix[:-1] + "@"

    @property
    def pattern(self) -> str:
        """A Redis glob that matches every key of the account, and no other key."""
        return self.prefix[:-1] + "[:@]*"  # an Account's name has no character that is special in a glob

    @property
    def account(self) -> str:
        """Hash: the limits, the bucket, pauses and the tally of the quota window."""
        return self._control + "account"

    @property
    def wishes(self) -> str:
        """Hash: worker process -> when it last wrote its settings (epoch microseconds), and their JSON."""
        return self._control + "wishes"

    @property
    def hosts(self) -> str:
        """Hash: worker that cannot send from its host -> since when, and why. See ``hosts.lua``."""
        return self._control + "hosts"

    @property
    def quota(self) -> str:
        """Hash: minute since the epoch -> recipients charged in it."""
        return self._control + "quota"

    @property
    def leases(self) -> str:
        """Sorted set: tag of a taken message -> end of its lease, epoch microseconds."""
        return self._control + "leases"

    @property
    def leased(self) -> str:
        """Hash: tag -> ``lane LF minute charged LF envelope``."""
        return self._control + "leased"

    @property
    def schedule(self) -> str:
        """Sorted set: ``15-digit number LF lane LF envelope`` -> when due, epoch microseconds."""
        return self._control + "schedule"

    @property
    def schedule_number(self) -> str:
        """String: the number of the last scheduled message."""
        return self._control + "schedule-number"

    @property
    def doorbells(self) -> str:
        """The prefix of all doorbells."""
        return self._control + "doorbell:"

    def doorbell(self, lane: str) -> str:
        """List on which idle workers of the lane block; one element wakes one worker."""
        return self.doorbells + lane

    @property
    def content(self) -> str:
        """Hash: content hash -> bytes shared by the messages of a bulk send."""
        return self._control + "content"

    @property
    def references(self) -> str:
        """Hash: content hash -> messages that still refer to it."""
        return self._control + "references"

    @property
    def durable(self) -> str:
        """String that expires at once. Its write follows the writes of others, so that WAITAOF waits for those too."""
        return self._control + "durable"

    def aside(self, shelf: str) -> str:
        """Hash: name -> ``JSON of the reason LF envelope``. The shelves are ``dead`` and ``held``.

        The name is the message's id, or a hash of the envelope's beginning if it has no id. If the shelf already has
        that name, it is ``name~tag``, with the tag of the message's lease.
        """
        return f"{self._control}{shelf}"

    def aside_index(self, shelf: str) -> str:
        """Sorted set: name on the shelf -> when it was set aside, epoch microseconds."""
        return f"{self._control}{shelf}-index"

    def set_apart(self, place: str) -> tuple[str, str]:
        """The keys of a shelf, or of the schedule (``scheduled``): its messages, and the sorted set of their times."""
        return (self.schedule, self.schedule) if place == "scheduled" else (self.aside(place), self.aside_index(place))

    @property
    def records(self) -> str:
        """Hash: the open segment of the records, and the size of all segments. See ``records.lua``."""
        return self._control + "records"

    def records_in(self, segment: int, shard: str) -> str:
        """List: a line for each event, oldest first. ``shard`` is a hex digit."""
        return f"{self.records}:{segment}:{shard}"

    def idempotency(self, digest: str) -> str:
        """String: the id of the message that was first sent with this key. It expires after 24 hours."""
        return f"{self._control}idempotency:{digest}"
