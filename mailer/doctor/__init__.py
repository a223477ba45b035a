"""The doctor: looks at a host, its Redis and its SES account, and says what to mend. It changes nothing."""
