"""The page of all settings, made from `Settings`."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticUndefined

from mailer.rules import ON_UNKNOWN
from mailer.settings import Settings
from ops.docs.text import attributes, markdown

_HEAD = """# Settings

<!-- written by `python -m ops.docs` -->

Settings are environment variables, read once. A process that cannot start says which variable to set. The AWS variables
(`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL_SESV2` and others) keep their meaning.

In Python, `mailer.configure(account="eu", aws_profile="eu")` sets the same, by the names in small letters. See
[several accounts](../send/python.md#several-accounts).
"""
_UNITS = {
    "_seconds": "seconds",
    "_hours": "hours",
    "_megabytes": "MB",
    "per_second": "recipients per second",
    "per_day": "recipients per 24 hours",
    "headroom": "fraction",
    "reserve": "fraction",
    "burst": "recipients",
    "replicas": "replicas",
    "_url": "URL",
    "_dir": "folder",
}
_GROUPS = {
    "Redis": ("redis_url", "redis_", "key_prefix"),
    "The SES account": ("account", "aws_", "rate_", "quota_", "burst"),
    "Lanes and messages": ("lanes", "on_unknown", "lease_", "retry_", "record_"),
    "The way to SES": ("transport", "smtp_", "connect_", "read_"),
    "Folders": ("data_dir", "alive_dir"),
}


def page() -> str:
    docstrings = attributes(Settings)
    parts, listed = [_HEAD], set[str]()
    for title, prefixes in _GROUPS.items():
        begun = [name for each in prefixes for name in Settings.model_fields if name.startswith(each)]
        names = list(dict.fromkeys(begun))
        parts.append(f"## {title}\n")
        parts += [f"### {_variable(name)}\n\n{_facts(name)}\n\n{markdown(docstrings.get(name))}\n" for name in names]
        listed |= set(names)
    if missing := Settings.model_fields.keys() - listed:
        raise ValueError(f"settings without a group in ops/docs/settings.py: {', '.join(sorted(missing))}")
    return "\n".join(parts)


def _variable(name: str) -> str:
    return f"`{ON_UNKNOWN}<LANE>`" if name == "on_unknown" else f"`MAILER_{name.upper()}`"


def _default(name: str) -> str:
    value: Any = Settings.model_fields[name].default
    if value is None or value is PydanticUndefined or value == {}:
        return ""
    return f"`{','.join(value) if isinstance(value, tuple) else f'{value:g}' if isinstance(value, float) else value}`"


def _facts(name: str) -> str:
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
    default = _default(name)
    return f"*{f'{unit}, ' if unit else ''}{f'by default* {default}' if default else 'unset by default*'}"
