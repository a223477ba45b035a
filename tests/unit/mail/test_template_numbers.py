"""Templates whose numbers are text, as every cell of a CSV file is: right, or an error that says what to write."""

from __future__ import annotations

from typing import Any

import pytest

from mailer.errors import InvalidMessage
from mailer.mail.template import compiled


def render(source: str, **variables: Any) -> str:
    return compiled(source, "text").render(variables)


def refusal(source: str, **variables: Any) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        render(source, **variables)
    return caught.value


@pytest.mark.parametrize("price", ["12,50", "€ 5", "", "abc", "nan", "inf", "1e999", "9" * 500])
@pytest.mark.parametrize("name", ["float", "int"])
def test_a_text_that_is_no_number_is_an_error_unless_a_default_is_given(name: str, price: str) -> None:
    error = refusal(f"{{{{ '%.2f EUR' | format(Price | {name}) }}}}", Price=price)
    assert error.field == "text"
    assert error.problem == (
        f"cannot be rendered: the text is no number (line 1: {{{{ '%.2f EUR' | format(Price | {name}) }}}})"
    )
    assert "12.50" in error.remedy
    assert f"| {name}(0)" in error.remedy
    assert render(f"{{{{ '%.2f EUR' | format(Price | {name}(0)) }}}}", Price=price) == "0.00 EUR"
    assert render(f"{{{{ Price | {name}(none) | default('free') }}}}", Price=price) == "free"


def test_a_text_that_is_a_number_is_read() -> None:
    assert render("{{ '%.2f EUR' | format(Price | float) }}", Price=" 12.50 ") == "12.50 EUR"
    assert render("{{ Points | int + 1 }}, {{ '12.0' | int }}, {{ 'ff' | int(0, 16) }}", Points="41") == "42, 12, 255"


@pytest.mark.parametrize(
    "source", ["{{ Price | int }}", "{{ Price | int(0) }}", "{{ [Price] | map('int', 0) | join }}"]
)
def test_int_drops_no_cents_of_a_text(source: str) -> None:
    error = refusal(source, Price="12.50")
    assert "after the point" in error.problem
    assert "| float" in error.remedy
    assert "| int(0)" not in error.remedy, "which would drop them too"
    assert render("{{ Price | float | int }}, {{ 12.5 | int }}, {{ '12.00' | int(0) }}", Price="12.50") == "12, 12, 12"


@pytest.mark.parametrize("source", ["{{ x | float }}", "{{ x | int }}", "{{ [x] | map('float') | join }}"])
def test_what_is_neither_text_nor_number_is_an_error_too(source: str) -> None:
    assert refusal(source, x=[1]).field == "text"


@pytest.mark.parametrize("source", ["{{ Price * 2 }}", "{{ 2 * Price }}", "{{ Price * Price }}"])
def test_a_text_is_not_repeated(source: str) -> None:
    assert "Price | float * 2" in refusal(source, Price="12,50").remedy
    assert render("{{ Price | float * 2 }}, {{ (['-'] * 3) | join }}", Price="12.50") == "25.0, ---"


@pytest.mark.parametrize(
    "source",
    [
        "{{ Price + 1 }}",
        "{{ 1 + Price }}",
        "{{ Price - 1 }}",
        "{{ -Price }}",
        "{{ Price / 2 }}",
        "{{ Price | round(2) }}",
        "{{ '%.2f' | format(Price) }}",
        "{{ '%d' | format(Price) }}",
        "{% if Price > 10 %}{% endif %}",
        "{% if 10 <= Price %}{% endif %}",
        "{{ [1, Price] | max }}",
    ],
)
def test_the_remedy_for_a_number_in_a_text_is_float(source: str) -> None:
    remedy = refusal(source, Price="12.50").remedy
    assert "Price | float" in remedy
    assert "| int" not in remedy


def test_the_remedy_of_a_sum_of_texts_works() -> None:
    lines = [{"price": "12.50"}, {"price": "1"}]
    remedy = refusal("{{ lines | sum(attribute='price') }}", lines=lines).remedy
    assert "map(attribute='price') | map('float') | sum" in remedy
    assert render("{{ lines | map(attribute='price') | map('float') | sum }}", lines=lines) == "13.5"


def test_arguments_of_format_that_are_swapped_are_named() -> None:
    error = refusal("{{ Price | format('%.2f EUR') }}", Price="12.50")
    assert "the format stands after the value" in error.problem
    assert "Write '%.2f' | format(Price | float)" in error.remedy
