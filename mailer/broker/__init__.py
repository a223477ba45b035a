"""Kombu's transport over the queue, and nothing else."""
