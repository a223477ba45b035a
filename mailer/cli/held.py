"""``mailer held``."""

from mailer.cli.shelf import shelf_app

app = shelf_app("held", "Look into and settle mail that SES may have accepted or not.")
