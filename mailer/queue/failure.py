"""The words for an error of redis-py. One condition has one wording, in the command line, producers and workers."""

from __future__ import annotations

from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as TooSlow

CHECK = "Check MAILER_REDIS_URL and the server"


def lacks_login(error: BaseException | None) -> bool:
    """Whether Redis wants a user or a password that it was not given."""
    return isinstance(error, AuthenticationError)


def words_of(error: Exception, done: str = "", *, is_answer: bool = False) -> str:
    """The error and the remedy. ``done`` is a sentence on what was done or not. ``is_answer``: Redis has answered."""
    why = str(error).rstrip(".")
    if lacks_login(error):
        remedy = "Put the user and the password into MAILER_REDIS_URL: redis://user:password@host:6379/0"
        return _sentences(f"Redis wants a login ({why})", done, remedy)
    if is_answer or (isinstance(error, RedisError) and not isinstance(error, Disconnected | TooSlow)):
        return _sentences(f"Redis refused: {why}", done)
    return _sentences(f"Redis did not answer ({why})", done, CHECK)


def _sentences(*sentences: str) -> str:
    return ". ".join(each.rstrip(".") for each in sentences if each)
