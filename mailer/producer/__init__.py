"""The way in: `send`, `send_raw`, `send_many`, and whole files of recipients."""
