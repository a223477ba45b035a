"""The resources that an account makes: identities, configuration sets, templates, suppressed addresses.

Each file holds one kind: its value, and the collection. They know neither an account nor a call.
"""

from __future__ import annotations

from mailer.simulator.resources.configuration_set import ConfigurationSets
from mailer.simulator.resources.identity import Identities
from mailer.simulator.resources.suppression import SuppressionList
from mailer.simulator.resources.template import EmailTemplates


class Resources:
    """The resources of one account."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.configuration_sets = ConfigurationSets()
        self.templates = EmailTemplates()
        self.suppression = SuppressionList()


__all__ = ["Resources"]
