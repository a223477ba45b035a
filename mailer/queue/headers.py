"""Names in an envelope that are ours: the task, and the headers which the scripts and the workers read."""

from __future__ import annotations

TASK = "mailer.send"
CONTENT_HEADER = "mailer_content"
"""The envelope's header that names the stored content; the broker's scripts look for it under this name."""
ACCEPTED_HEADER = "mailer_accepted"
"""The envelope's header that says when its producer wrote it, epoch milliseconds; envelope.lua looks for it too."""
KEY_HEADER = "mailer_key"
"""The header of a message with an idempotency key: its digest (`recipient.digest_of`). The broker's scripts look for it
when the message is let go of unsent; it is taken out once the message may have been sent."""
FAILING_HEADER = "mailer_failing"
"""The header of a message that failed before: for how long it has waited in the schedule since, milliseconds."""
DENIED_HEADER = "mailer_denied"
"""The header of a message that could not be sent for want of a permission: how often."""
LOST = "mailer_lost"
"""Member of an envelope, and its first: a worker was lost while it held the message. As in envelope.lua."""
LEASE_ENDS = "mailer_lease_ends"
PERMIT_ENDS = "mailer_permit_ends"
SIZE = "mailer_size"
LOCAL_HEADERS = frozenset({LEASE_ENDS, PERMIT_ENDS, SIZE})
"""Headers that tell the task when its lease and its permit end, on this machine's monotonic clock, and how many bytes
its envelope has. They are never written to Redis."""
