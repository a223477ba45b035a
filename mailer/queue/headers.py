"""Our own names in an envelope: the task, and the headers that the scripts and the workers read."""

from __future__ import annotations

TASK = "mailer.send"
CONTENT_HEADER = "mailer_content"
"""Hash of the stored content. The queue's scripts search for this name."""
ACCEPTED_HEADER = "mailer_accepted"
"""When the producer wrote the message, epoch milliseconds. The queue's scripts search for this name too."""
KEY_HEADER = "mailer_key"
"""Digest of the message's idempotency key (`recipient.digest_of`), if it has one. The queue's scripts read it to free
the key when the message is deleted unsent. It is removed once the message may have been sent."""
FAILING_HEADER = "mailer_failing"
"""For a message that failed before: how long it has waited in the schedule since, milliseconds."""
DENIED_HEADER = "mailer_denied"
"""How often the message could not be sent because a permission was missing."""
LOST = "mailer_lost"
"""The first member of a suspect's envelope: a worker was lost while it held the message. As in envelope.lua."""
LEASE_ENDS = "mailer_lease_ends"
PERMIT_ENDS = "mailer_permit_ends"
SIZE = "mailer_size"
LOCAL_HEADERS = frozenset({LEASE_ENDS, PERMIT_ENDS, SIZE})
"""Headers for the task: the ends of its lease and of its permit, on this machine's monotonic clock, and the bytes of
its envelope. They are never written to Redis."""
