"""Promises are tried on the whole: the command, producers, real worker processes, a simulator and one account."""

from __future__ import annotations

from tests.support.account import account, still, worker
from tests.support.command import account_environment, mailer
from tests.support.post import post, shared, simulator

__all__ = ["account", "account_environment", "mailer", "post", "shared", "simulator", "still", "worker"]
