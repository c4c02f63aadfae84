"""The catalog: all services, rules and runbooks of one version."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kintsugi.model.notices import NoticeRoute
from kintsugi.model.rules import Rule
from kintsugi.model.runbooks import Patterns, Runbook
from kintsugi.model.services import STACK, AllServices, Service


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """All documents of one version, named by `digest`; `texts` are their files by name, kept for runs that are resumed."""

    services: Mapping[str, Service]
    rules: Mapping[str, Rule]
    runbooks: Mapping[str, Runbook]
    patterns: Mapping[str, Patterns] = field(default_factory=dict)
    notice_routes: Mapping[str, NoticeRoute] = field(default_factory=dict)
    digest: str
    texts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def subject(self, name: str) -> Service | AllServices | None:
        """Return the subject of an incident, a run or a rule by its `service` ("" for all services); None when it is gone."""
        return AllServices(services=self.services) if name in ("", STACK) else self.services.get(name)

    def subject_of(self, rule: Rule) -> Service | AllServices | None:
        """Return the subject of a rule's run: its service, else that of its runbook, else all services."""
        return self.subject(self.service_of(rule))

    def service_of(self, rule: Rule) -> str:
        """Return the service of a rule, else of its runbook; "" for a rule about all services."""
        return rule.service or self.runbook_of(rule).service

    def rules_of(self, service: str) -> list[str]:
        """Return the names of the rules that name a service."""
        return [rule.name for rule in self.rules.values() if rule.service == service]

    def runbook_of(self, rule: Rule) -> Runbook:
        """Return the runbook that a rule starts."""
        return self.runbooks[rule.runbook]
