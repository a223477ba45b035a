"""Message ids count, and a million of them take no room."""

from __future__ import annotations

import pickle
import uuid

from hypothesis import given
from hypothesis import strategies as st

from mailer.mail.message_id import MessageIds, new_base, numbered


def ids_of(values: list[str]) -> MessageIds:
    ids = MessageIds()
    for value in values:
        ids._append(value)
    return ids


def test_an_id_is_a_random_uuid_of_version_4() -> None:
    value = numbered(new_base(), 2**48 - 1)
    assert str(uuid.UUID(value)) == value
    assert uuid.UUID(value).version == 4
    assert uuid.UUID(value).variant == uuid.RFC_4122


def test_bases_do_not_repeat() -> None:
    assert len({new_base() for _ in range(10_000)}) == 10_000


def test_an_id_of_another_kind_is_kept_as_it_is() -> None:
    values = ["from-elsewhere", "from-elsewhere", numbered(new_base(), 3), "", "A" * 36]
    assert list(ids_of(values)) == values


def test_consecutive_ids_take_the_room_of_one() -> None:
    base = new_base()
    ids = ids_of([numbered(base, number) for number in range(10_000)])
    assert len(pickle.dumps(ids)) < 1_000
    assert len(ids) == 10_000
    assert ids[9_999] == ids[-1] == numbered(base, 9_999)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30), st.slices(30))
def test_ids_are_the_sequence_that_was_put_in(picks: list[tuple[str, int]], part: slice) -> None:
    bases = {letter: new_base() for letter in "abc"}
    values = [numbered(bases[letter], number) for letter, number in picks]
    ids = ids_of(values)
    assert list(ids) == values
    assert [ids[position] for position in range(len(ids))] == values
    assert ids[part] == values[part]
    assert len(ids) == len(values)
    assert all(value in ids for value in values)
