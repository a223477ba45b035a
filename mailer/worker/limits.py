"""Keeping the account's limits fresh: one worker at a time asks SES and writes the answer where all can see it."""

from __future__ import annotations

import threading
from typing import Any

import redis
from celery import signals
from celery.utils.log import get_logger

from mailer.broker import limits
from mailer.broker.connection import connect
from mailer.broker.keys import Keys
from mailer.broker.transport import limits_are_stale
from mailer.errors import AccountStopped, MailerError, SendError
from mailer.ses.account import read_account
from mailer.settings import Settings

logger = get_logger(__name__)


def refresh(settings: Settings) -> None:
    """Write the account's limits into Redis: from the settings, and for what they leave open from SES GetAccount.

    SES is asked too when it has refused: whether it still does, and what others have used of the quota, is not in the
    settings. Raises a `MailerError` (or redis-py's errors) and leaves the limits as they were.
    """
    client = connect(settings)
    try:
        rate, quota = settings.rate_per_second, settings.quota_per_day
        if rate is not None and quota is not None and not _ses_has_refused(client, settings):
            limits.write(client, settings, rate=rate, quota=quota)
            return
        account = read_account()
        if rate is None and account.max_send_rate <= 0:
            raise AccountStopped("MaxSendRate", "SES allows this account no recipient a second")
        quotas = [each for each in (quota, account.max_24_hour_send) if each is not None and each >= 0]
        limits.write(
            client,
            settings,
            rate=rate or account.max_send_rate,
            quota=min(quotas, default=-1),
            sent=account.sent_last_24_hours,
            allows=account.sending_enabled and account.enforcement_status != "SHUTDOWN",
            source="ses" if rate is None or quota is None else "settings",
            sending_enabled=account.sending_enabled,
            production_access=account.production_access,
            enforcement=account.enforcement_status,
        )
    finally:
        client.close()


def _ses_has_refused(client: redis.Redis, settings: Settings) -> bool:
    stopped, others = client.hmget(Keys.of(settings).account, "stopped", "others")
    return stopped is not None or float(others or 0) > 0


def keep_fresh(settings: Settings) -> None:
    """Refresh at the worker's start where that asks nobody, and whenever Redis tells this worker to."""
    busy = threading.Lock()

    def in_background() -> None:
        if busy.acquire(blocking=False):
            try:
                refresh(settings)
            except SendError as error:
                logger.warning(
                    "SES GetAccount failed: %s. The limits stay as they were; where there are none, nothing is sent. "
                    "Allow ses:GetAccount, or set MAILER_RATE_PER_SECOND and MAILER_QUOTA_PER_DAY",
                    str(error).rstrip("."),
                )
            except (MailerError, OSError) as error:
                logger.warning("The account's limits could not be refreshed: %s", error)
            except Exception:
                logger.exception("The account's limits could not be refreshed")
            finally:
                busy.release()

    def start(**_: Any) -> None:
        threading.Thread(target=in_background, name="limits", daemon=True).start()

    limits_are_stale.connect(start, weak=False, dispatch_uid="mailer-limits")
    if settings.rate_per_second is not None and settings.quota_per_day is not None:
        # A change of the settings holds from the first worker that starts with it.
        signals.worker_init.connect(start, weak=False, dispatch_uid="mailer-limits-start")
