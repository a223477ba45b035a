"""``mailer scheduled``."""

from mailer.cli.shelf import shelf_app

app = shelf_app("scheduled", "Look into mail that waits for its time, requeue and drop it.")
