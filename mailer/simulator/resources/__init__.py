"""The resources that an account makes: identities, configuration sets, templates, suppressed addresses.

Each file holds one kind: its value, the collection, and its operations of the v2 API.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mailer.simulator.resources import configuration_set, identity, suppression, template
from mailer.simulator.resources.configuration_set import ConfigurationSet, ConfigurationSets
from mailer.simulator.resources.identity import Identities, Identity
from mailer.simulator.resources.suppression import SuppressionList
from mailer.simulator.resources.template import EmailTemplate, EmailTemplates

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUTES = (*identity.ROUTES, *configuration_set.ROUTES, *template.ROUTES, *suppression.ROUTES)
"""The control plane of the v2 API, except for the account itself."""


class Resources:
    """The resources of one account."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.configuration_sets = ConfigurationSets()
        self.templates = EmailTemplates()
        self.suppression = SuppressionList()

    def to_json(self) -> dict[str, Any]:
        """All resources, for ``restore`` after a restart."""
        return {
            "identities": [asdict(each) for each in self.identities],
            "configuration_sets": [asdict(each) for each in self.configuration_sets],
            "templates": [asdict(each) for each in self.templates],
            "suppressed": [asdict(each) for each in self.suppression],
            "suppressed_reasons": list(self.suppression.reasons),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore the saved resources. The configuration sets from the start stay as they are."""
        present = {each.name for each in self.configuration_sets}
        for each in saved["identities"]:
            self.identities.add(Identity(**each))
        for each in saved["configuration_sets"]:
            if each["name"] not in present:
                self.configuration_sets.create(ConfigurationSet(**each))
        for each in saved["templates"]:
            self.templates.create(EmailTemplate(**each))
        for each in saved["suppressed"]:
            self.suppression.put(each["address"], each["reason"], each["at"])
        self.suppression.reasons = tuple(saved["suppressed_reasons"])


__all__ = ["ROUTES", "Resources"]
