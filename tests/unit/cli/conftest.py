"""The command, and the account that it acts on."""

from __future__ import annotations

from tests.support.account import account, worker
from tests.support.command import account_environment, mailer

__all__ = ["account", "account_environment", "mailer", "worker"]
