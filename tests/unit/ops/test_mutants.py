"""The list of mutants fits the code as it is, and a mutant is noticed."""

from __future__ import annotations

import pytest

from ops.mutants.copy import Copy
from ops.mutants.edit import REPOSITORY, Edit, read

EDITS = read()


def test_there_are_enough_of_them() -> None:
    assert len(EDITS) >= 60
    assert len({edit.file for edit in EDITS}) >= 15


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_each_edit_changes_the_code_and_names_tests_that_exist(edit: Edit) -> None:
    text = (REPOSITORY / edit.file).read_text(encoding="utf-8")
    assert edit.applied_to(text) != text
    assert [test for test in edit.tests if not (REPOSITORY / test).exists()] == []


def test_a_mutant_is_killed_and_leaves_the_copy_as_it_was() -> None:
    retry = "mailer/delivery/retry.py"
    edit = next(edit for edit in EDITS if edit.file == retry)
    copy = Copy()
    before = (copy.root / retry).read_text(encoding="utf-8")
    assert "failed" in copy.failure_with(edit)
    assert (copy.root / retry).read_text(encoding="utf-8") == before
    assert copy.failure_of(edit.tests) == ""
