"""The control API under ``/_sim/``, for tests and people: it reads back the mail, and changes what is simulated."""
