"""Keeping the account's limits fresh: each worker says what its settings are, and one at a time asks SES."""

from __future__ import annotations

import threading
from contextlib import closing

import redis
from celery.utils.log import get_logger
from celery.utils.nodenames import nodesplit

from mailer.errors import MailerError, SendError
from mailer.masking import mask_addresses
from mailer.queue import limits
from mailer.queue.connection import connect
from mailer.queue.leases import Leases
from mailer.queue.limits import SesLimits
from mailer.queue.wish import new_process
from mailer.ses.account import NO_RATE_REMEDY, read_account
from mailer.ses.credentials import CredentialSource
from mailer.settings import Settings

logger = get_logger(__name__)

SAY_SECONDS = 60.0
"""How often a worker says what its settings are. It is forgotten when it was silent for five times as long."""
_PATIENCE_SECONDS = 1.0


def refresh(settings: Settings, process: str, credentials: CredentialSource, *, ask: bool) -> None:
    """Write into Redis what the settings say of the account's limits; if ``ask``, what SES GetAccount says as well.

    SES is asked where some host's settings leave a limit open, and when it has refused: whether it still does, and what
    others have used of the quota, is in no settings. Raises a `MailerError` (or redis-py's errors); what SES said
    before then stays as it was.
    """
    with closing(connect(settings)) as client:
        if not ask:
            limits.write(client, settings, process)
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
    """One worker process's part in it: a thread that sleeps until there is something to say or to ask."""

    def __init__(self, settings: Settings, credentials: CredentialSource, leases: Leases) -> None:
        self._settings = settings
        self._credentials = credentials
        self._fitness = leases.fitness
        leases.ask_ses = self.ask
        self._process = ""
        self._woken = threading.Event()
        self._asks = self._ends = False
        self._thread: threading.Thread | None = None

    def begin(self, worker: str) -> None:
        """Say what the settings are, now and every minute: a change holds from the first worker that starts with it.

        The host is called as in the worker's own name, by which a host that cannot send is named.
        """
        self._process = new_process(nodesplit(worker)[1])
        self._thread = threading.Thread(target=self._until_the_end, name="limits", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Ask SES, soon."""
        self._asks = True
        self._woken.set()

    def end(self) -> None:
        """What was said is taken back: settings of a host that stops hold nobody down."""
        self._ends = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)

    def _until_the_end(self) -> None:
        while not self._ends:
            asks, self._asks = self._asks, False
            self._say(ask=asks)
            self._woken.wait(SAY_SECONDS)
            # Before it is looked at what was told meanwhile.
            self._woken.clear()
        try:
            with closing(connect(self._settings)) as client:
                limits.forget(client, self._settings, self._process)
        except (MailerError, redis.exceptions.RedisError, OSError):
            pass  # Redis may have ended before us. It forgets by itself.

    def _say(self, *, ask: bool) -> None:
        try:
            refresh(self._settings, self._process, self._credentials, ask=ask)
            if ask:
                self._fitness.asked(answered=True)
        except SendError as error:
            # Before its turn is another's, lest it gets that too.
            self._fitness.asked(answered=False)
            logger.warning(
                "SES GetAccount failed: %s. What SES said before holds on; where it never said anything, nothing is "
                "sent. Allow ses:GetAccount, or set MAILER_RATE_PER_SECOND and MAILER_QUOTA_PER_DAY on every host",
                str(error).rstrip("."),
            )
            self._say(ask=False)
            self._give_up_the_turn(mask_addresses(str(error)))
        except (MailerError, redis.exceptions.RedisError, OSError) as error:
            # The next minute's is as good.
            logger.warning("The account's limits could not be refreshed: %s", error)
        except Exception:
            logger.exception("The account's limits could not be refreshed")

    def _give_up_the_turn(self, why: str) -> None:
        try:
            with closing(connect(self._settings)) as client:
                limits.unanswered(client, self._settings, self._process, why)
        except (MailerError, redis.exceptions.RedisError, OSError) as error:
            logger.warning("That SES did not answer could not be told: %s", error)
