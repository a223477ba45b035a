"""SECURITY.md: each of its claims leads to a test that is there."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import defined
from tests.support import REPOSITORY

TEXT = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
LINKS = re.findall(r'\[test\]\(([\w/.]+)\s+"(\w+)"\)', TEXT)
HOLDS = re.findall(r"^\*\*What holds\.\*\*.*?(?=^\*\*|^#)", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("path", "name"), LINKS)
def test_the_test_behind_a_claim_is_there(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in defined(REPOSITORY / path)


def test_every_claim_has_a_test() -> None:
    claims = [claim for part in HOLDS for claim in re.split(r"^- ", part, flags=re.MULTILINE)[1:]]
    assert len(claims) > 20
    assert [claim for claim in claims if "[test](" not in claim] == []


def test_each_party_has_what_holds_and_what_does_not() -> None:
    parties = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    assert len(parties) >= 9
    for party in parties:
        for part in ("**Trusted with.**", "**What holds.**", "**What does not.**"):
            assert part in party, party.partition("\n")[0]


def test_other_links_lead_somewhere() -> None:
    elsewhere = [path for path in re.findall(r"\]\(([\w/.-]+)\)", TEXT) if not (REPOSITORY / path).exists()]
    assert elsewhere == []
