"""The resources that an account makes: identities, configuration sets, templates, suppressed addresses.

Each file holds one kind: its value, the collection, and its operations of the v2 API.
"""

from __future__ import annotations

from mailer.simulator.resources import configuration_set, identity, suppression, template
from mailer.simulator.resources.configuration_set import ConfigurationSets
from mailer.simulator.resources.identity import Identities
from mailer.simulator.resources.suppression import SuppressionList
from mailer.simulator.resources.template import EmailTemplates

ROUTES = (*identity.ROUTES, *configuration_set.ROUTES, *template.ROUTES, *suppression.ROUTES)
"""The control plane of the v2 API, except for the account itself."""


class Resources:
    """The resources of one account."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.configuration_sets = ConfigurationSets()
        self.templates = EmailTemplates()
        self.suppression = SuppressionList()


__all__ = ["ROUTES", "Resources"]
