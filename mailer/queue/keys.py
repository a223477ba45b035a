"""The names of an account's keys in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.account import Account


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of one account, all under one hash tag: lanes are ``mailer:{default}:bulk``, and the keys by which the
    account is controlled ``mailer:{default}@account``.

    ``prefix`` is that of lanes, with the colon. Stock Celery with ``global_keyprefix`` set to it writes a queue's
    messages to the lane of the same name. Whatever the queue is called, it spells no control key: these have no colon
    behind the brace.
    """

    prefix: str

    def __post_init__(self) -> None:
        if not self.prefix.endswith("}:"):
            raise ValueError(f"global_keyprefix {self.prefix!r}: does not end with }}: as that of an account does")

    @classmethod
    def of(cls, account: Account) -> Keys:
        return cls(f"{account.key_prefix}{{{account.account}}}:")

    def lane(self, lane: str) -> str:
        """List of envelopes; producers push left, take pops right."""
        return self.prefix + lane

    def suspects(self, lane: str) -> str:
        """List of envelopes of that lane whose worker was lost: each worker is handed one of them at a time."""
        return f"{self._control}suspects:{lane}"

    def large(self, lane: str) -> str:
        """List of envelopes of that lane which are large: what waits behind them passes."""
        return f"{self._control}large:{lane}"

    @property
    def _control(self) -> str:
        return self.prefix[:-1] + "@"

    @property
    def pattern(self) -> str:
        """Matches every key of the account, and no other, where Redis takes a glob."""
        return self.prefix[:-1] + "[:@]*"  # an Account allows nothing in it that a glob would read

    @property
    def account(self) -> str:
        """Hash: the limits, the bucket, pauses and the tally of the quota window."""
        return self._control + "account"

    @property
    def wishes(self) -> str:
        """Hash: worker process -> when it last said so, epoch microseconds, and JSON of what its settings say."""
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
        """String: the number of the message that was scheduled last."""
        return self._control + "schedule-number"

    @property
    def doorbells(self) -> str:
        """How the names of all doorbells begin."""
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
        """String that expires at once: a write that follows those of others, for WAITAOF to wait for."""
        return self._control + "durable"

    def aside(self, shelf: str) -> str:
        """Hash: name -> ``JSON of the reason LF envelope``. Shelves: ``dead`` and ``held``.

        The name is the message's id; ``id~tag`` where another message with that id lies there already, and the tag
        of its lease where it has none.
        """
        return f"{self._control}{shelf}"

    def aside_index(self, shelf: str) -> str:
        """Sorted set: name on the shelf -> when it was set aside, epoch microseconds."""
        return f"{self._control}{shelf}-index"

    def set_apart(self, place: str) -> tuple[str, str]:
        """The messages of a shelf, or of the schedule (``scheduled``), and the sorted set of their times."""
        return (self.schedule, self.schedule) if place == "scheduled" else (self.aside(place), self.aside_index(place))

    @property
    def records(self) -> str:
        """Hash: which segment of the records is written to, and how much they take. See ``records.lua``."""
        return self._control + "records"

    def records_in(self, segment: int, shard: str) -> str:
        """List: a line for each thing that happened, oldest first. ``shard`` is a hex digit."""
        return f"{self.records}:{segment}:{shard}"

    def idempotency(self, digest: str) -> str:
        """String: the id of the message first sent with this key; expires after 24 hours."""
        return f"{self._control}idempotency:{digest}"
