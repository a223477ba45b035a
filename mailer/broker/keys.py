"""The names of an account's keys in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of one account, all under one hash tag: ``mailer:{default}:...``.

    A lane is a list named by the lane, so that stock Celery with ``global_keyprefix`` set to ``prefix`` writes to it.
    The others start with ``@``, which no lane's name can.
    """

    prefix: str

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        return cls(f"{settings.key_prefix}{{{settings.account}}}:")

    def lane(self, lane: str) -> str:
        """List of envelopes; producers push left, take pops right."""
        return self.prefix + lane

    @property
    def account(self) -> str:
        """Hash: the limits, the bucket, pauses and the tally of the quota window."""
        return self.prefix + "@account"

    @property
    def quota(self) -> str:
        """Hash: minute since the epoch -> recipients charged in it."""
        return self.prefix + "@quota"

    @property
    def leases(self) -> str:
        """Sorted set: tag of a taken message -> end of its lease, epoch microseconds."""
        return self.prefix + "@leases"

    @property
    def leased(self) -> str:
        """Hash: tag -> ``lane LF minute charged LF envelope``."""
        return self.prefix + "@leased"

    @property
    def schedule(self) -> str:
        """Sorted set: ``15-digit number LF lane LF envelope`` -> when due, epoch microseconds."""
        return self.prefix + "@schedule"

    @property
    def doorbell(self) -> str:
        """List on which idle workers block; one element wakes one worker."""
        return self.prefix + "@doorbell"

    @property
    def content(self) -> str:
        """Hash: content hash -> bytes shared by the messages of a bulk send."""
        return self.prefix + "@content"

    @property
    def references(self) -> str:
        """Hash: content hash -> messages that still refer to it."""
        return self.prefix + "@references"

    @property
    def durable(self) -> str:
        """String that expires at once: a write that follows those of others, for WAITAOF to wait for."""
        return self.prefix + "@durable"

    def aside(self, shelf: str) -> str:
        """Hash: name -> ``JSON of the reason LF envelope``. Shelves: ``dead`` and ``held``.

        The name is the message's id; ``id~tag`` where another message with that id lies there already, and the tag
        of its lease where it has none.
        """
        return f"{self.prefix}@{shelf}"

    def aside_index(self, shelf: str) -> str:
        """Sorted set: name on the shelf -> when it was set aside, epoch microseconds."""
        return f"{self.prefix}@{shelf}-index"

    @property
    def records(self) -> str:
        """Hash: which segment of the records is written to, and how much they take. See ``records.lua``."""
        return self.prefix + "@records"

    def records_in(self, segment: int, shard: str) -> str:
        """List: a line for each thing that happened, oldest first. ``shard`` is a hex digit."""
        return f"{self.records}:{segment}:{shard}"

    def idempotency(self, digest: str) -> str:
        """String: the id of the message first sent with this key; expires after 24 hours."""
        return f"{self.prefix}@idempotency:{digest}"
