"""Our simulator of SES: an account that a test can break. It imports nothing of the sending side."""
