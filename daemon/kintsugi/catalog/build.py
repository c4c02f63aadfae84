"""From a draft to the frozen document: one function a kind. A document that cannot be made is None, its problems noted."""

import hashlib
import json
from datetime import timedelta

from kintsugi.catalog.drafts import Draft
from kintsugi.catalog.matchers import parse_matcher, takes_everything
from kintsugi.catalog.parameters import known_type, read_value
from kintsugi.catalog.shapes import ParameterShape, PatternsShape, RuleShape, RunbookShape, ServiceShape
from kintsugi.catalog.source import Document, Path
from kintsugi.catalog.standing import Standing
from kintsugi.catalog.steps import Steps
from kintsugi.errors import UsageError
from kintsugi.expressions import ANY
from kintsugi.model.documents import (
    DrillTerms,
    LabelMatcher,
    Parameter,
    Pattern,
    Patterns,
    Rollback,
    Rule,
    Run,
    Runbook,
    SecretRef,
    Service,
    Severity,
    Step,
    Value,
    WorkloadRef,
)
from kintsugi.objects.resources import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, find, suggest
from kintsugi.objects.selectors import Selector
from kintsugi.regex import compiled
from kintsugi.scope import seen
from kintsugi.scope.types import PARAMETERS, parameter_type, rule_names, service_names

EVERY = timedelta(seconds=30)
"""How often a rule on a check asks, where it does not say."""

WORKLOADS = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS)


def digest_of(*parts: object) -> str:
    """Name plain values by a digest: equal values have equal names."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def content_of(document: Document) -> object:
    """Give a document's plain values, without where they stand."""
    return document.value


def build_service(draft: Draft[ServiceShape], priorities: dict[str, int]) -> Service | None:
    """Build a service; without `depends_on` it depends on all services of higher priority."""
    spec, path = draft.shape.spec, ("spec",)
    healthy = draft.expression((*path, "healthy"), spec.healthy, seen(service_names(), start_up=draft.known.start_up))
    workload, selector = _workload(draft), _selector(draft)
    checks = {name: _checks(draft, name) for name in spec.checks}
    draft.one_of((*path, "runbook"), spec.runbook, draft.known.runbooks, "runbook")
    if spec.drill is not None:
        draft.one_of((*path, "drill", "runbook"), spec.drill.runbook, draft.known.runbooks, "runbook")
    others = tuple(name for name in draft.known.services if name != draft.name)
    for index, needed in enumerate(spec.depends_on or ()):
        draft.one_of((*path, "depends_on", index), needed, others, "other service")
    if healthy is None or workload is None or selector is None:
        return None
    higher = tuple(sorted(name for name, priority in priorities.items() if priority < spec.priority))
    return Service(
        name=draft.name,
        priority=spec.priority,
        depends_on=higher if spec.depends_on is None else tuple(spec.depends_on),
        namespace=spec.namespace,
        selector=selector,
        workload=workload,
        healthy=healthy,
        runbook=spec.runbook,
        env={name: SecretRef(secret=ref.secret, key=ref.key) for name, ref in spec.env.items()},
        checks=checks,
        drill=DrillTerms(runbook=spec.drill.runbook, schedule=spec.drill.schedule) if spec.drill else None,
        place=draft.place(("metadata", "name")),
    )


def _workload(draft: Draft[ServiceShape]) -> WorkloadRef | None:
    text, path = draft.shape.spec.workload, ("spec", "workload")
    word, _, name = text.partition("/")
    resource = find(word)
    if resource in WORKLOADS and name:
        return WorkloadRef(resource=resource, name=name)
    known = ", ".join(f"{each.singular}/NAME" for each in WORKLOADS)
    near = suggest(word) if resource is None else None
    draft.note(
        path,
        f"{text!r} is not the workload of a service: write {known}",
        suggestion=f"did you mean '{near}/{name}'?" if near else "",
    )
    return None


def _selector(draft: Draft[ServiceShape]) -> Selector | None:
    try:
        return Selector.parse(draft.shape.spec.selector)
    except UsageError as error:
        draft.note(("spec", "selector"), str(error))
        return None


def _checks(draft: Draft[ServiceShape], name: str) -> tuple[Step, ...]:
    standing = Standing(services=draft.known.services, start_up=draft.known.start_up)
    steps, _ = Steps(draft=draft, about=draft.name, looks_only=True).in_order(
        draft.shape.spec.checks[name], ("spec", "checks", name), standing
    )
    return steps


def build_rule(draft: Draft[RuleShape], runbooks_of: dict[str, str]) -> Rule:
    """Build a rule; without `runbook` it starts its service's."""
    spec, path = draft.shape.spec, ("spec",)
    names = rule_names(spec.on, services=draft.known.services, service=spec.service is not None)
    if spec.service is not None:
        draft.one_of((*path, "service"), spec.service, draft.known.services, "service")
    if spec.runbook is not None:
        draft.one_of((*path, "runbook"), spec.runbook, draft.known.runbooks, "runbook")
    if spec.check is not None and spec.service in draft.known.checks:
        what = f"list of checks of {spec.service} called"
        draft.one_of((*path, "check"), spec.check, draft.known.checks[spec.service], what)
    return Rule(
        name=draft.name,
        on=spec.on,
        service=spec.service or "",
        runbook=spec.runbook or runbooks_of.get(spec.service or "", ""),
        when=draft.expression((*path, "when"), spec.when, seen(names, start_up=draft.known.start_up)),
        match=_matchers(draft),
        any_namespace=spec.namespace == "any",
        hold=draft.scaled(spec.hold),
        check=spec.check or "",
        every=draft.scaled(spec.every or EVERY),
        mode=spec.mode,
        cooldown=draft.scaled(spec.cooldown),
        digest=digest_of(content_of(draft.document), draft.known.durations),
        place=draft.place(("metadata", "name")),
    )


def _matchers(draft: Draft[RuleShape]) -> tuple[LabelMatcher, ...]:
    matchers: list[LabelMatcher] = []
    texts = draft.shape.spec.match or []
    for index, text in enumerate(texts):
        try:
            matchers.append(parse_matcher(text))
        except ValueError as error:
            draft.note(("spec", "match", index), str(error))
    if len(matchers) == len(texts) and matchers and all(map(takes_everything, matchers)):
        draft.note(
            ("spec", "match"),
            "this matches every alert: one matcher must ask for a value, as in alertname=KubePodNotReady",
        )
    return tuple(matchers)


def build_runbook(draft: Draft[RunbookShape]) -> Runbook:
    """Build a runbook; its digest does not know its children yet."""
    spec, path = draft.shape.spec, ("spec",)
    if spec.service is not None:
        draft.one_of((*path, "service"), spec.service, draft.known.services, "service")
    parameters = tuple(_parameter(draft, name, shape) for name, shape in spec.parameters.items())
    types = {each.name: parameter_type(each.type) if known_type(each.type) else ANY for each in parameters}
    standing = Standing(services=draft.known.services, start_up=draft.known.start_up, parameters=types)
    steps, _ = Steps(draft=draft, about=spec.service or "").in_order(spec.steps, (*path, "steps"), standing)
    if spec.rollback.loses is not None:
        known = tuple(step.id for step in steps if isinstance(step.do, Run) and not step.do.command.changes)
        draft.one_of((*path, "rollback", "loses"), spec.rollback.loses, known, "step that asks")
    way_back = Steps(draft=draft, about=spec.service or "", way_back=True)
    back, _ = way_back.in_order(spec.rollback.steps, (*path, "rollback", "steps"), standing)
    return Runbook(
        name=draft.name,
        title=spec.title,
        service=spec.service or "",
        parameters=parameters,
        steps=steps,
        rollback=Rollback(
            after=draft.scaled(spec.rollback.after),
            when=spec.rollback.when,
            steps=back,
            then=spec.rollback.then,
            loses=spec.rollback.loses or "",
        ),
        digest=digest_of(content_of(draft.document), draft.known.durations),
        place=draft.place(("metadata", "name")),
    )


def _parameter(draft: Draft[RunbookShape], name: str, shape: ParameterShape) -> Parameter:
    path: Path = ("spec", "parameters", name)
    word = shape.type
    default: Value | None = None
    if not known_type(word):
        draft.one_of((*path, "type"), word.strip("[]"), tuple(PARAMETERS), "type of parameter")
    elif shape.default is not None:
        try:
            default = read_value(word, shape.default, draft.known.durations)
        except ValueError as error:
            draft.note((*path, "default"), str(error))
    return Parameter(name=name, type=word, default=default, help=shape.help)


def build_patterns(draft: Draft[PatternsShape]) -> Patterns:
    """Build a list of patterns."""
    for index, pattern in enumerate(draft.shape.spec):
        try:
            compiled(pattern.match)
        except ValueError as error:
            draft.note(("spec", index, "match"), str(error))
    return Patterns(
        name=draft.name,
        patterns=tuple(
            Pattern(match=each.match, sqlstate=tuple(each.sqlstate), means=each.means, severity=Severity(each.severity))
            for each in draft.shape.spec
        ),
        digest=digest_of(content_of(draft.document)),
        place=draft.place(("metadata", "name")),
    )
