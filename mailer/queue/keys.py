"""The names of an account's keys in Redis."""

from __future__ import annotations

from mailer.account import Account

PRIORITY_SEPARATOR = "\x06\x16"
LOWER_PRIORITIES = (3, 6, 9)  # kombu's default steps. The most urgent, 0, is the lane itself.


class Keys:
    """Every key of one account, all under one hash tag.

    A lane's key is like ``mailer:{default}:bulk``. A control key is like ``mailer:{default}@account``. ``prefix`` is
    the prefix of lanes, with the colon. Stock Celery with this ``global_keyprefix`` writes a queue's messages to the
    lane of the same name. No queue name can produce a control key, because these have no colon after the brace.
    """

    def __init__(self, prefix: str) -> None:
        if not prefix.endswith("}:"):
            raise ValueError(f"global_keyprefix {prefix!r}: does not end with }}: as that of an account does")
        self.prefix = prefix
        self.pattern = prefix[:-1] + "[:@]*"  # an Account's name has no character that is special in a glob
        """A Redis glob that matches every key of the account, and no other key."""
        self._control = control = prefix[:-1] + "@"
        self.account = control + "account"
        """Hash: the limits, the bucket, pauses and the tally of the quota window."""
        self.wishes = control + "wishes"
        """Hash: worker process -> when it last wrote its settings (epoch microseconds), and their JSON."""
        self.hosts = control + "hosts"
        """Hash: worker that cannot send from its host -> since when, and why. See ``hosts.lua``."""
        self.quota = control + "quota"
        """Hash: minute since the epoch -> recipients charged in it."""
        self.leases = control + "leases"
        """Sorted set: tag of a taken message -> end of its lease, epoch microseconds."""
        self.leased = control + "leased"
        """Hash: tag -> ``lane LF minute charged LF envelope``."""
        self.schedule = control + "schedule"
        """Sorted set: ``15-digit number LF lane LF envelope`` -> when due, epoch microseconds."""
        self.schedule_number = control + "schedule-number"
        """String: the number of the last scheduled message."""
        self.doorbells = control + "doorbell:"
        """The prefix of all doorbells."""
        self.content = control + "content"
        """Hash: content hash -> bytes shared by the messages of a bulk send."""
        self.references = control + "references"
        """Hash: content hash -> messages that still refer to it."""
        self.durable = control + "durable"
        """String that expires at once. Its write follows the writes of others, so that WAITAOF waits for those too."""
        self.records = control + "records"
        """Hash: the open segment of the records, and the size of all segments. See ``records.lua``."""

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

    def lists_of(self, lane: str) -> list[str]:
        """The lists in which a lane's messages wait.

        In this order: suspects, the lane itself, large messages, and the three for lower priorities of stock Celery.
        """
        low = [f"{self.lane(lane)}{PRIORITY_SEPARATOR}{step}" for step in LOWER_PRIORITIES]
        return [self.suspects(lane), self.lane(lane), self.large(lane), *low]

    def doorbell(self, lane: str) -> str:
        """List on which idle workers of the lane block; one element wakes one worker."""
        return self.doorbells + lane

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

    def records_in(self, segment: int, shard: str) -> str:
        """List: a line for each event, oldest first. ``shard`` is a hex digit."""
        return f"{self.records}:{segment}:{shard}"

    def idempotency(self, digest: str) -> str:
        """String: the id of the message that was first sent with this key. It expires after 24 hours."""
        return f"{self._control}idempotency:{digest}"
