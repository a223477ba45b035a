"""The doctor examines a host, its Redis and its SES account, and suggests remedies. It changes nothing."""
