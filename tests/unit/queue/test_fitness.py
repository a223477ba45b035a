"""A process whose host cannot send: when it may ask for mail again, and whose fault a denial is."""

from __future__ import annotations

import pytest

from mailer.queue.fitness import DENIALS_BORNE, FIRST_SECONDS, MOST_SECONDS, Fitness

WORDS = "AccessDeniedException: User arn is not authorized to perform ses:SendEmail on resource identity/example.com"


class Host:
    """A process on a clock that stands still until it is moved."""

    def __init__(self, draw: float = 1.0) -> None:
        self.now = 100.0
        self.fitness = Fitness(lambda: self.now, lambda: draw)

    def probe(self) -> float:
        """Its rest is over, and the message that it takes then fails too; returns how long it rests now."""
        self.now += self.fitness.rests
        asked_at = self.now
        self.now += 0.1
        assert self.fitness.failed(asked_at)
        return self.fitness.rests


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_host_is_thought_fit_until_it_fails(host: Host) -> None:
    assert (host.fitness.rests, host.fitness.is_doubted) == (0, False)


def test_after_a_failure_it_rests_and_then_takes_one_at_a_time(host: Host) -> None:
    assert host.fitness.failed(host.now)
    assert (host.fitness.rests, host.fitness.is_doubted) == (FIRST_SECONDS, True)
    host.now += FIRST_SECONDS
    assert (host.fitness.rests, host.fitness.is_doubted) == (0, True)


def test_each_failed_probe_makes_the_rest_longer_up_to_half_a_minute(host: Host) -> None:
    assert [host.probe() for _ in range(7)] == [1.5, 3, 6, 12, 24, MOST_SECONDS, MOST_SECONDS]


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 1.0), (0.5, 1.25), (1.0, 1.5)])
def test_the_processes_of_a_host_do_not_come_back_together(draw: float, seconds: float) -> None:
    assert Host(draw).probe() == pytest.approx(seconds)


def test_what_fails_in_the_same_moment_makes_it_no_longer(host: Host) -> None:
    taken_at = host.now
    host.now += 0.1
    assert host.fitness.failed(taken_at)
    assert not host.fitness.failed(taken_at)
    host.now += 2 * FIRST_SECONDS
    assert not host.fitness.failed(taken_at), "it was slow to fail, and says nothing new"
    assert host.fitness.rests == 0


def test_one_message_that_is_sent_ends_it(host: Host) -> None:
    host.probe()
    assert host.fitness.sent(), "that is news"
    assert (host.fitness.rests, host.fitness.is_doubted) == (0, False)
    assert not host.fitness.sent()
    assert host.probe() == FIRST_SECONDS, "the next trouble begins anew"


def test_the_first_message_that_a_process_sends_is_news(host: Host) -> None:
    """An earlier process of that name may have been named as one that cannot."""
    assert [host.fitness.sent(), host.fitness.sent()] == [True, False]


def test_a_process_that_stops_takes_nothing_whatever_is_sent(host: Host) -> None:
    host.fitness.rest(1000)
    assert host.fitness.sent()
    assert host.fitness.rests == 1000


class TestDenials:
    """The key may not send this: nothing at all, or nothing from this sender."""

    def test_it_is_the_host_s_fault_where_nothing_else_was_sent(self, host: Host) -> None:
        assert not host.fitness.is_message_s("m1", WORDS)
        assert not host.fitness.is_message_s("m2", WORDS)

    def test_it_is_the_message_s_where_other_mail_was_sent_meanwhile(self, host: Host) -> None:
        assert not host.fitness.is_message_s("m1", WORDS)
        host.now += 1
        host.fitness.sent()
        host.now += 1
        assert host.fitness.is_message_s("m2", WORDS)
        assert host.fitness.is_message_s("m3", WORDS), "at full speed, however many there are together"

    def test_what_was_sent_before_says_nothing_of_words_that_are_new(self, host: Host) -> None:
        host.fitness.sent()
        host.now += 1
        assert not host.fitness.is_message_s("m1", WORDS)

    def test_a_right_that_is_taken_away_later_is_noticed(self, host: Host) -> None:
        host.fitness.is_message_s("m", WORDS)
        host.now += 1
        host.fitness.sent()
        said = [host.fitness.is_message_s(f"m{number}", WORDS) for number in range(DENIALS_BORNE + 1)]
        assert said == [True] * DENIALS_BORNE + [False]

    def test_the_same_message_does_not_stand_in_the_way_of_others_for_ever(self, host: Host) -> None:
        assert [host.fitness.is_message_s("m1", WORDS) for _ in range(2)] == [False, True]
