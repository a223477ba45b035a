"""Our SES: an account one can break. Imports nothing of the sending side."""
