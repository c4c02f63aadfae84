"""Warnings about documents that can be loaded but are probably not what their author means."""

from collections.abc import Iterator

from kintsugi.catalog.call_graph import all_steps, steps_of
from kintsugi.commands.registry import definition_of
from kintsugi.commands.sql import names_of_owners
from kintsugi.errors import CommandError
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import Psql
from kintsugi.model.rules import MatchOperator, Rule, RuleSource
from kintsugi.model.runbooks import Run, Step
from kintsugi.model.services import AllServices, Service
from kintsugi.settings.settings import CLUSTER_NAMESPACES

SUPERUSER = "postgres"
"""The superuser's usual name: which other roles are superusers only their server knows."""


def lint(catalog: Catalog) -> list[str]:
    """Return the warnings about a catalog, each with its place."""
    return [
        *_never_starting(catalog),
        *_about_everything(catalog),
        *_out_of_reach(catalog),
        *_as_a_superuser(catalog),
    ]


def _never_starting(catalog: Catalog) -> list[str]:
    """Return warnings about rules that no alert could ever start, with their places."""
    found = [(rule, catalog.services.get(rule.service)) for rule in catalog.rules.values() if rule.matchers]
    return [
        f"{rule.place}: rule {rule.name} can never start: {why}"
        for rule, service in found
        if service is not None and (why := _never_starts(rule, service))
    ]


def _about_everything(catalog: Catalog) -> list[str]:
    """Return warnings about rules on alerts that have no service, with their places."""
    return [
        f"{rule.place}: rule {rule.name} names no service: one of its alerts starts {rule.runbook} for all services"
        for rule in catalog.rules.values()
        if rule.on is RuleSource.ALERT and isinstance(catalog.subject_of(rule), AllServices)
    ]


def _out_of_reach(catalog: Catalog) -> list[str]:
    """Name the services in which nothing is ever changed, because the cluster lives on their namespace."""
    return [
        f"service {each.name} is in {each.namespace}, a namespace of the cluster itself: nothing is ever changed there"
        for each in catalog.services.values()
        if each.namespace in CLUSTER_NAMESPACES
    ]


def _as_a_superuser(catalog: Catalog) -> Iterator[str]:
    """Name the questions to what somebody else owns that are asked as a superuser."""
    checks = (step for service in catalog.services.values() for each in service.checks.values() for step in each)
    steps = [step for step, _ in all_steps(checks)]
    steps += [step for runbook in catalog.runbooks.values() for step, _ in steps_of(runbook)]
    for step in steps:
        asked = _question(step)
        if asked is None or asked.user != SUPERUSER:
            continue
        owned = ", ".join(names_of_owners(asked.statement)) or (asked.search_path and f"names in {asked.search_path}")
        if owned:
            yield (
                f"{step.place}: {step.id} asks {owned} as {SUPERUSER}: its owner can create a view or a function "
                f"there that runs as a superuser; use a role that is not a superuser (psql -U ROLE)"
            )


def _question(step: Step) -> Psql | None:
    if not isinstance(step.do, Run):
        return None
    try:
        command = step.do.command.sample()
    except CommandError:
        return None
    return definition_of(command).question(command)


def _never_starts(rule: Rule, service: Service) -> str:
    """Return why no alert could ever start a rule, "" when one could."""
    wanted: dict[str, str] = {}
    for each in rule.matchers:
        if each.operator is not MatchOperator.EQUAL:
            continue
        if wanted.setdefault(each.label, each.value) != each.value:
            return f"no alert has {each.label}={wanted[each.label]} and {each.label}={each.value}"
    namespace = wanted.get("namespace")
    if namespace and namespace != service.namespace:
        return (
            f"it asks for alerts of the namespace {namespace}, and {service.name} is in {service.namespace}: "
            "alerts of another namespace start nothing"
        )
    if namespace == "" and not rule.any_namespace:
        return "it asks for alerts without a namespace, which start nothing: write `namespace: any`"
    return ""
