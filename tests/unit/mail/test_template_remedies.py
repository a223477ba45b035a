"""What a newcomer writes in templates, and the remedy that fits."""

from __future__ import annotations

from typing import Any

import pytest

from mailer.errors import InvalidMessage
from mailer.mail.content import Structured
from mailer.mail.template import compiled

CSS = "write a space after the brace"


def refusal(source: str, **variables: Any) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        compiled(source, "text").render(variables)
    return caught.value


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        ("now()", "Give the date as a variable"),
        ("dict(a=1)", "{'key': value}"),
        ("lipsum()", "Give what it would make as a variable"),
        ("round(Price)", "Write x | round"),
        ("len(Price)", "Write x | length"),
    ],
)
def test_a_function_that_is_not_there_is_named(call: str, remedy: str) -> None:
    name = call.split("(", maxsplit=1)[0]
    for source in (f"{{{{ {call} }}}}", f"{{% call {call} %}}{{% endcall %}}"):
        error = refusal(source, Price=1)
        assert (error.field, f"There is no function {name} (line 1" in error.problem) == ("text", True)
        assert remedy in error.remedy
        assert "range and namespace" in error.remedy


@pytest.mark.parametrize("source", ["{{ loop.index }}", "{% if loop.first %}{% endif %}", "{{ loop['last'] }}"])
def test_loop_outside_of_a_loop_is_no_variable_that_lacks(source: str) -> None:
    error = refusal(source)
    assert (error.field, "recipient" in error.remedy) == ("text", False)
    assert "within {% for %}" in error.remedy


def test_caller_outside_of_a_macro_is_no_variable_that_lacks() -> None:
    error = refusal("{{ caller() }}")
    assert (error.field, "within a macro" in error.remedy) == ("text", True)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ First Name }}", "First_Name"),
        ("{{ First Name | upper }}", "First_Name"),
        ("{{ Name of  Street }}", "Name_of_Street"),
        ("{{ Line 2 }}", "Line_2"),
        ("{% if First Name %}{% endif %}", "First_Name"),
    ],
)
def test_a_name_with_a_space_is_told_how_it_is_written(source: str, name: str) -> None:
    remedy = refusal(source).remedy
    assert f"Write {name} " in remedy
    assert CSS not in remedy


@pytest.mark.parametrize("source", ["{{ x | upper y }}", "{{ 'a' b }}", "{{ a else b }}", "{{ 1 2 }}"])
def test_two_words_that_are_no_name_are_not_told_so(source: str) -> None:
    assert "_" not in refusal(source).remedy


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("a{% endif %}", "Remove it, or write the {% if ... %} that it belongs to before it"),
        ("a{% else %}", "Remove it, or write the {% if ... %} that it belongs to before it"),
        ("{% for x in xs %}a", "Write {% endfor %} where its {% for ... %} ends"),
        ("{% if a %}{% for x in xs %}{% endif %}", "Write {% endfor %} before it, or remove it"),
    ],
)
def test_a_tag_that_is_not_closed_or_not_opened_is_named(source: str, remedy: str) -> None:
    assert refusal(source).remedy == remedy


def test_a_name_with_a_hyphen_is_told_how_it_is_written() -> None:
    assert "Write {{ First_Name }}" in refusal("{{ First-Name }}").remedy
    assert "Write {{ A_B_C }}" in refusal("{{ A-B-C | upper }}").remedy
    assert "recipient" in refusal("{{ Total-Rebate }}", Total=3).remedy
    assert compiled("{{ Total-Rebate-1 }}", "text").render({"Total": 3, "Rebate": 1}) == "1"


def test_the_names_that_are_not_given_are_those_without_a_default() -> None:
    text = (
        "{{ a }}{{ b }}{{ c | default('x') }}{{ d.e | d('y') }}{% if f is defined %}{{ f }}{% endif %}{{ g | upper }}"
    )
    content = Structured.of(sender="a@example.com", subject="-", text=text, templates=True)
    with pytest.raises(InvalidMessage) as caught:
        content.check({}, "{}")
    assert "(not given: a, b, g)" in caught.value.problem
    assert compiled("{{ a | default('x') }}{{ a }}", "text").needed == {"a"}
    assert compiled("{{ a }}{{ a | default('x') }}", "text").needed == {"a"}


def test_the_repr_of_an_error_masks_addresses_but_not_its_example() -> None:
    told = InvalidMessage("to", "ann.body@example.org is no address", "Write Name <user@example.com>")
    assert repr(told) == "InvalidMessage('to: a***@example.org is no address. Write Name <user@example.com>')"
    quoting = InvalidMessage("to", "no address", "Write user@example.com, not ann.user@example.com")
    assert "ann" not in repr(quoting)
