"""The environments of processes, as values. This process's own environment is read and never changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import model_validator
from pydantic_settings import PydanticBaseSettingsSource

from mailer.rules import ON_UNKNOWN
from mailer.settings import Settings

OURS = ("MAILER_", "AWS_", "CELERY_", "FLOWER_", "BENCH_")
"""The beginnings of the variables that would lead a process to a person's own account, Redis or settings."""
ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def without(*prefixes: str, keep: tuple[str, ...] = ()) -> dict[str, str]:
    """This process's variables, except those that begin like one of ``prefixes`` and like no one of ``keep``."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes) or name.startswith(keep)}


def clean(**more: str) -> dict[str, str]:
    """This process's variables without `OURS`, and ``more``."""
    return {**without(*OURS), **more}


def environment_of(settings: Settings, ses: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a process with these settings, which sends to ``ses`` with a key that is nobody's."""
    variables = clean(
        AWS_ACCESS_KEY_ID=ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
    )
    if ses is not None:
        variables["AWS_ENDPOINT_URL_SESV2"] = ses
    for name, value in settings.model_dump(exclude_none=True).items():
        if name == "on_unknown":
            variables |= {f"{ON_UNKNOWN}{lane.upper()}": policy for lane, policy in value.items()}
        elif name == "lanes":
            variables["MAILER_LANES"] = ",".join(value)
        else:
            plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            variables[f"MAILER_{name.upper()}"] = str(plain)
    return {**variables, **more}


class _Alone(Settings):
    """Settings that are not read from this process's environment."""

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (sources["init_settings"],)

    @model_validator(mode="before")
    @classmethod
    def _collect_on_unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        return values


def settings_in(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings of a process with this environment, policies for unknown outcomes aside."""
    named = {name: environment.get(f"MAILER_{name.upper()}") for name in Settings.model_fields}
    return _Alone(**{**{name: value for name, value in named.items() if value is not None}, **overrides})
