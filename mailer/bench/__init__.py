"""``mailer bench``: how fast a host can send, what limits it, and how many processes and threads a rate takes."""
