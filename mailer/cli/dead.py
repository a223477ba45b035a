"""``mailer dead``."""

from mailer.cli.shelf import shelf_app

app = shelf_app("dead", "Look into the dead letters, requeue, drop and export them.")
