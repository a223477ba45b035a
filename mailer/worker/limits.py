"""Keep the account's limits fresh: each worker reports its settings, and one worker at a time asks SES."""

from __future__ import annotations

import threading
from contextlib import closing, suppress

import redis
from celery.utils.log import get_logger
from celery.utils.nodenames import nodesplit

from mailer.errors import MailerError, SendError
from mailer.masking import mask_addresses
from mailer.queue import limits
from mailer.queue.connection import connect
from mailer.queue.leases import Leases
from mailer.queue.limits import SesLimits, new_process
from mailer.ses.account import NO_RATE_REMEDY, read_account
from mailer.ses.credentials import CredentialSource
from mailer.settings import Settings

logger = get_logger(__name__)

SAY_SECONDS = 60.0
"""The interval at which a worker reports its settings. After five silent intervals Redis forgets them."""
_PATIENCE_SECONDS = 1.0
_FAILURES = MailerError, redis.exceptions.RedisError, OSError


def refresh(
    settings: Settings, process: str, credentials: CredentialSource, *, ask: bool, unanswered: str | None = None
) -> None:
    """Write the settings' limits of the account into Redis. If ``ask``, write those of SES GetAccount as well.

    SES is asked where a host's settings leave a limit open, and after SES has refused. Settings cannot tell whether SES
    still refuses, nor how much of the quota others have used. ``unanswered`` says why SES has not answered this
    process; another process asks then. Raises a `MailerError` or redis-py's errors. Then the earlier answer of SES
    stays.
    """
    with closing(connect(settings)) as client:
        if not ask:
            limits.write(client, settings, process)
            if unanswered is not None:
                limits.unanswered(client, settings, process, unanswered)
            return
        account = read_account(credentials=credentials)
        quota = account.max_24_hour_send
        allows = account.sending_enabled and account.enforcement_status != "SHUTDOWN"
        limits.write(
            client,
            settings,
            process,
            SesLimits(account.max_send_rate, -1 if quota is None else quota, account.sent_last_24_hours, allows),
            sending_enabled=account.sending_enabled,
            production_access=account.production_access,
            enforcement=account.enforcement_status,
        )
    if account.no_rate:
        logger.warning("Nothing is sent: %s. %s", account.no_rate, NO_RATE_REMEDY)


class Keeper:
    """A worker process's thread that reports its settings and asks SES. It sleeps until one of the two is due."""

    def __init__(self, settings: Settings, credentials: CredentialSource, leases: Leases) -> None:
        self._settings = settings
        self._credentials = credentials
        self._fitness = leases.fitness
        leases.ask_ses = self.ask
        self._process = ""
        self._woken = threading.Event()
        self._asks = self._ends = False
        self._thread = threading.Thread(target=self._until_the_end, name="limits", daemon=True)

    def begin(self, worker: str) -> None:
        """Report the settings now and every minute. A changed setting holds once the first worker starts with it.

        The host's name comes from the worker's name, as in the reports about hosts that cannot send.
        """
        self._process = new_process(nodesplit(worker)[1])
        self._thread.start()

    def ask(self) -> None:
        """Ask SES, soon."""
        self._asks = True
        self._woken.set()

    def end(self) -> None:
        """Withdraw the reported settings. The settings of a stopped host must not limit the others."""
        self._ends = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_SECONDS)

    def _until_the_end(self) -> None:
        while not self._ends:
            asks, self._asks = self._asks, False
            self._say(ask=asks)
            self._woken.wait(SAY_SECONDS)
            # Clear first, then read the flags: so no call of `ask` or `end` between the two is missed.
            self._woken.clear()
        # Redis may have ended first. It forgets by itself.
        with suppress(*_FAILURES), closing(connect(self._settings)) as client:
            limits.forget(client, self._settings, self._process)

    def _say(self, *, ask: bool, unanswered: str | None = None) -> None:
        try:
            refresh(self._settings, self._process, self._credentials, ask=ask, unanswered=unanswered)
            if ask:
                self._fitness.asked(answered=True)
        except SendError as error:
            # Before the turn passes on, so that this worker does not receive it again.
            self._fitness.asked(answered=False)
            logger.warning(
                "SES GetAccount failed: %s. What SES said before holds on; where it never said anything, nothing is "
                "sent. Allow ses:GetAccount, or set MAILER_RATE_PER_SECOND and MAILER_QUOTA_PER_DAY on every host",
                str(error).rstrip("."),
            )
            self._say(ask=False, unanswered=mask_addresses(str(error)))
        except _FAILURES as error:
            # The next minute's report does as well.
            logger.warning("The account's limits could not be refreshed: %s", error)
        except Exception:
            logger.exception("The account's limits could not be refreshed")
