"""
The rules that every service gets: each RuleTemplate becomes one rule a service, under the service's name and the template's.

A service switches one off or changes its terms under `rules`; a rule document for the same service and the same
trigger, or of the same name, replaces it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kintsugi.catalog.build import build_rule, digest_of
from kintsugi.catalog.document_builder import DocumentBuilder
from kintsugi.catalog.schema import (
    MetadataShape,
    RuleOverridesShape,
    RuleShape,
    RuleSpecShape,
    RuleTemplateShape,
    RuleTemplateSpecShape,
    ServiceShape,
)
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import DERIVED

LONGEST_NAME = 63
"""Of a rule, as of all names of documents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleTemplates:
    """The templates of a catalog, with the services that get their rules and the rules that somebody wrote."""

    templates: Mapping[str, DocumentBuilder[RuleTemplateShape]]
    services: Mapping[str, DocumentBuilder[ServiceShape]]
    rules: Mapping[str, DocumentBuilder[RuleShape]]

    def expand(self, runbooks_of: dict[str, str]) -> dict[str, Rule]:
        """Build the rules; what is wrong is noted with its template, or with the service that asks for it."""
        written = {(draft.shape.spec.service, _trigger(draft.shape.spec)) for draft in self.rules.values()}
        found: dict[str, Rule] = {}
        for service in self.services.values():
            self._check_overrides(service)
            for template in self.templates.values():
                name = f"{service.name}-{template.name}"
                replaced = name in self.rules or (service.name, _trigger(template.shape.spec)) in written
                if not replaced and _applies(template, service) and self._fits(name, service):
                    found[name] = _rule(name, template, service, runbooks_of)
        return found

    def _check_overrides(self, service: DocumentBuilder[ServiceShape]) -> None:
        for name, overrides in service.shape.spec.rules.items():
            path = ("spec", "rules", name)
            service.one_of(path, name, self.templates, "rule of every service called")
            service.one_of((*path, "runbook"), overrides.runbook, service.known.runbooks, "runbook")

    def _fits(self, name: str, service: DocumentBuilder[ServiceShape]) -> bool:
        if len(name) > LONGEST_NAME:
            path = ("metadata", "name")
            service.note(
                path, f"its rule {name!r} has a name of more than {LONGEST_NAME} letters: choose a shorter name"
            )
        return len(name) <= LONGEST_NAME


def _applies(template: DocumentBuilder[RuleTemplateShape], service: DocumentBuilder[ServiceShape]) -> bool:
    """
    Return whether a service gets a template's rule: it is not switched off, and the list of checks that it asks is there, or
    derived.
    """
    spec, asked = service.shape.spec, template.shape.spec.check
    overrides = spec.rules.get(template.name)
    return (overrides is None or overrides.enabled) and (asked in (None, DERIVED) or asked in spec.checks)


def _trigger(spec: RuleTemplateSpecShape) -> tuple[object, ...]:
    """Return what two rules have in common that are about the same; how an expression is indented says nothing."""
    if spec.on is RuleSource.CHECK:
        return (spec.on, spec.check)
    return (spec.on, " ".join((spec.when or "").split()), *sorted(spec.matchers or ()))


def _rule(
    name: str,
    template: DocumentBuilder[RuleTemplateShape],
    service: DocumentBuilder[ServiceShape],
    runbooks_of: dict[str, str],
) -> Rule:
    said = service.shape.spec.rules.get(template.name, RuleOverridesShape())
    overrides = {key: value for key, value in said if key != "enabled" and value is not None}
    terms = {**dict(template.shape.spec), **overrides, "service": service.name}
    if template.shape.spec.matchers is not None:
        # an alert of another namespace is about no object of this service: it is told apart by the index already
        terms["matchers"] = [*template.shape.spec.matchers, f'namespace="{service.shape.spec.namespace}"']
    draft = DocumentBuilder(
        document=template.document,
        shape=RuleShape.model_construct(
            metadata=MetadataShape.model_construct(name=name), spec=RuleSpecShape.model_construct(**terms)
        ),
        known=template.known,
    )
    rule = build_rule(draft, runbooks_of)
    template.problems += [each for each in draft.problems if each not in template.problems]
    return replace(rule, digest=digest_of(rule.digest, service.name, overrides))
