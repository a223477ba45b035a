"""Malformed input for producers, and malformed messages in the queue: an error, a dead letter or good mail."""
