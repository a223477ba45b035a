"""Kombu's transport over the queue."""
