"""The page of the simulator's flags and of all that its control API takes, made from its specs."""

from __future__ import annotations

from pydantic_core import PydanticUndefined

from mailer.simulator.clock import ClockChange
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.fault import KINDS, Fault
from mailer.simulator.flags import default_of, flag_of
from mailer.simulator.options import GROUPS
from mailer.simulator.spec import Spec, extra_of
from mailer.simulator.terms import TermsAndUse
from ops.docs.text import cell, table

_HEAD = """# The simulator's flags and fields

<!-- written by `python -m ops.docs` -->

[The simulator](../simulator.md) takes each of these as a flag, in JSON, or in both. `GET /_sim/schema` has the JSON
Schema of them all. In a flag, `any` stands for null, and `+` joins several values of a list.
"""
_NOUNS: dict[type[Spec], tuple[str, str]] = {
    Fault: ("A fault", "`--fault`, `--faults FILE`, `/_sim/faults`, `add_fault()` and `faults=` of the marker"),
    Outcomes: ("Outcomes", "`--outcomes`, `/_sim/outcomes`, `set_outcomes()` and `outcomes=` of the marker"),
    Destination: ("A destination", "`--webhook`, `--queue`, `/_sim/destinations`, `add_webhook()` and `add_queue()`"),
    TermsAndUse: ("An account", "the flags above, `/_sim/account`, `set_account()` and the marker `ses_simulator`"),
    ClockChange: ("The clock", "`/_sim/clock`, `freeze_clock()`, `advance_clock()` and `skew_clock()`"),
}


def page() -> str:
    parts = [_HEAD, "## Flags\n"]
    for group in GROUPS:
        rows = [
            [
                f"`{flag_of(name, field)}`",
                _code(default_of(field)),
                cell(str(extra_of(field).get("help", field.description))),
            ]
            for name, field in group.model_fields.items()
        ]
        parts.append(f"### {group.__doc__}\n\n{table(['flag', 'default', 'meaning'], rows)}\n")
    parts += [
        "## Kinds of faults\n",
        table(["kind", "effect"], [[f"`{kind}`", cell(KINDS[kind])] for kind in KINDS]),
        "",
    ]
    for noun, (title, places) in _NOUNS.items():
        parts.append(f"## {title}\n\nTaken by {places}. {cell(noun.__doc__ or '')}\n\n{_fields(noun)}\n")
    return "\n".join(parts)


def _fields(noun: type[Spec]) -> str:
    rows = []
    for name, field in noun.model_fields.items():
        default = "" if field.default is PydanticUndefined else "null" if field.default is None else field.default
        shown = str(default).lower() if isinstance(default, bool) else default_of(field) or str(default)
        kinds, values = extra_of(field).get("kinds", []), _values(noun, name)
        only = f" (only {', '.join(kinds)})" if 0 < len(kinds) <= _FEW else ""
        one_of = f": {', '.join(f'`{each}`' for each in values)}" if values and name != "kind" else ""
        rows.append([f"`{name}`", _code(shown), cell(f"{field.description}{only}{one_of}")])
    return table(["field", "default", "meaning"], rows)


def _values(noun: type[Spec], name: str) -> list[str]:
    """The only values of a field, if it has such."""
    schema = noun.model_json_schema()["properties"][name]
    found = [each for part in (schema, *schema.get("anyOf", ())) for each in (part, part.get("items", {}))]
    return next((each["enum"] for each in found if "enum" in each), [])


_FEW = 2


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
