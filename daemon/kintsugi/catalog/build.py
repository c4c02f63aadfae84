"""
Builds the frozen documents from their drafts: one function a kind. A document that cannot be built is None, its
problems noted.
"""

import hashlib
import json
from datetime import timedelta
from string import Template
from zoneinfo import ZoneInfo

from pydantic.alias_generators import to_camel

from kintsugi.catalog.document_builder import DocumentBuilder
from kintsugi.catalog.matchers import parse_matcher, takes_everything
from kintsugi.catalog.schema import (
    DAYS,
    LOWEST_PRIORITY,
    DestinationShape,
    HoursShape,
    NoticeRouteShape,
    ParameterShape,
    PatternsShape,
    RuleShape,
    RuleTemplateSpecShape,
    RunbookShape,
    RunbookSpecShape,
    ServiceShape,
    ServiceSpecShape,
)
from kintsugi.catalog.source import Path
from kintsugi.catalog.steps import Steps
from kintsugi.decisions.drills import unfit_for_rehearsal
from kintsugi.expressions import ANY, Scope
from kintsugi.model.manual import MANUAL
from kintsugi.model.notices import (
    PLACEHOLDERS,
    WEBHOOK,
    AppriseDestination,
    Destination,
    Hours,
    MessageLimit,
    NoticeRoute,
    SlackChannel,
)
from kintsugi.model.questions import Approvers
from kintsugi.model.rules import LabelMatcher, Rule
from kintsugi.model.runbooks import (
    AlertText,
    Parameter,
    Pattern,
    Patterns,
    Rollback,
    Run,
    Runbook,
    Severity,
    Step,
    Value,
)
from kintsugi.model.services import (
    DERIVED,
    WORKLOAD_FORMS,
    DrillTerms,
    MaxAllowed,
    SecretRef,
    Service,
    WorkloadRef,
)
from kintsugi.regex import compiled
from kintsugi.scope.parameters import FROM_ALERT, known_type, read_value
from kintsugi.scope.types import PARAMETERS, StepPlace, parameter_type, rule_names, service_names
from kubeobjects.resources import DAEMONSETS, find, suggest
from kubeobjects.selectors import NOTHING, Selector, SelectorError

EVERY = timedelta(seconds=30)
"""The default interval of a rule on a check."""


HEALTHY = "desired > 0 && ready >= desired && rolloutComplete && serving && checksMet"
"""The default condition of a healthy service: Kubernetes and its own checks report no problem."""


def digest_of(*parts: object) -> str:
    """Name plain values by a digest: equal values have equal names."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def priority_of(spec: ServiceSpecShape) -> int:
    """
    Return a service's priority: without one it is recovered last, so that no other service waits for it by default.
    """
    return LOWEST_PRIORITY if spec.priority is None else spec.priority


def build_service(draft: DocumentBuilder[ServiceShape], priorities: dict[str, int]) -> Service | None:
    """Build a service; with a priority and without `dependsOn` it depends on all services of higher priority."""
    spec, path = draft.shape.spec, ("spec",)
    names = Scope(names=service_names(), start_up=draft.known.start_up)
    healthy = draft.expression((*path, "healthy"), spec.healthy or HEALTHY, names)
    workload, selector = _workload(draft), _selector(draft)
    checks = {name: _checks(draft, name) for name in spec.checks}
    draft.one_of((*path, "runbook"), spec.runbook, draft.known.runbooks, "runbook")
    if spec.drill is not None:
        draft.one_of((*path, "drill", "runbook"), spec.drill.runbook, draft.known.runbooks, "runbook")
    others = tuple(name for name in draft.known.services if name != draft.name)
    for index, needed in enumerate(spec.depends_on or ()):
        draft.one_of((*path, "dependsOn", index), needed, others, "other service")
    if healthy is None or workload is None or selector is None:
        return None
    if spec.replicas is not None and workload.resource is DAEMONSETS:
        draft.note((*path, "replicas"), f"{workload} has a pod for each node, and no number of replicas")
    return Service(
        name=draft.name,
        priority=priority_of(spec),
        depends_on=_depends_on(spec, priorities),
        namespace=spec.namespace,
        selector=selector,
        workload=workload,
        replicas=spec.replicas,
        healthy=healthy,
        runbook=spec.runbook,
        env={name: SecretRef(secret=ref.secret, key=ref.key) for name, ref in spec.env.items()},
        checks=checks,
        drill=DrillTerms(runbook=spec.drill.runbook, schedule=spec.drill.schedule) if spec.drill else None,
        on_upstream_failure=spec.on_upstream_failure,
        expendable=spec.expendable,
        max_allowed=MaxAllowed(memory=spec.max_allowed.memory, storage=spec.max_allowed.storage),
        place=draft.place(("metadata", "name")),
        positions={to_camel(key): draft.place(("spec", to_camel(key))) for key in spec.model_fields_set},
    )


def _depends_on(spec: ServiceSpecShape, priorities: dict[str, int]) -> tuple[str, ...]:
    if spec.depends_on is not None:
        return tuple(spec.depends_on)
    if spec.priority is None:
        return ()
    return tuple(sorted(name for name, priority in priorities.items() if priority < spec.priority))


def _workload(draft: DocumentBuilder[ServiceShape]) -> WorkloadRef | None:
    text = draft.shape.spec.workload
    if (found := WorkloadRef.parse(text)) is None:
        word, _, name = text.partition("/")
        near = suggest(word) if find(word) is None else None
        draft.note(
            ("spec", "workload"),
            f"{text!r} is not the workload of a service: write {WORKLOAD_FORMS}",
            suggestion=f"did you mean '{near}/{name}'?" if near else "",
        )
    return found


def _selector(draft: DocumentBuilder[ServiceShape]) -> Selector | None:
    """Read a service's selector, NOTHING where it is the workload's own; None when it is wrong, which is noted."""
    text = draft.shape.spec.selector
    try:
        return NOTHING if text is None else Selector.parse(text)
    except SelectorError as error:
        draft.note(("spec", "selector"), str(error))
        return None


def _checks(draft: DocumentBuilder[ServiceShape], name: str) -> tuple[Step, ...]:
    place, path = StepPlace(services=draft.known.services), ("spec", "checks", name)
    steps, _ = Steps(draft=draft, about=draft.name, probes_only=True).in_order(
        draft.shape.spec.checks[name], path, place
    )
    return steps


def build_rule(draft: DocumentBuilder[RuleShape], runbooks_of: dict[str, str]) -> Rule:
    """Build a rule; without `runbook` it starts its service's."""
    spec, path = draft.shape.spec, ("spec",)
    names = rule_names(spec.on, services=draft.known.services, service=spec.service is not None)
    if draft.name == MANUAL:
        draft.note(
            ("metadata", "name"), f"{MANUAL!r} is reserved for runs that a person starts: give the rule another name"
        )
    draft.one_of((*path, "service"), spec.service, draft.known.services, "service")
    draft.one_of((*path, "runbook"), spec.runbook, draft.known.runbooks, "runbook")
    if spec.service in draft.known.checks:
        known = dict.fromkeys((*draft.known.checks[spec.service], DERIVED))
        draft.one_of((*path, "check"), spec.check, known, f"list of checks of {spec.service} called")
    return Rule(
        name=draft.name,
        on=spec.on,
        service=spec.service or "",
        runbook=spec.runbook or runbooks_of.get(spec.service or "", ""),
        when=draft.expression((*path, "when"), spec.when, Scope(names=names, start_up=draft.known.start_up)),
        matchers=_matchers_of_rule(draft),
        any_namespace=spec.namespace == "any",
        for_duration=draft.scaled(spec.for_duration),
        check=spec.check or "",
        every=draft.scaled(spec.every or EVERY),
        mode=spec.mode,
        approvers=_approvers(spec),
        cooldown=draft.scaled(spec.cooldown),
        digest=digest_of(draft.document.value, draft.known.durations),
        place=draft.place(("metadata", "name")),
    )


def _approvers(spec: RuleTemplateSpecShape | RunbookSpecShape) -> Approvers:
    return Approvers(names=tuple(dict.fromkeys(spec.approvers)), people=spec.people)


def _matchers(draft: DocumentBuilder[RuleShape] | DocumentBuilder[NoticeRouteShape]) -> tuple[LabelMatcher, ...]:
    matchers: list[LabelMatcher] = []
    for index, text in enumerate(draft.shape.spec.matchers or ()):
        try:
            matchers.append(parse_matcher(text))
        except ValueError as error:
            draft.note(("spec", "matchers", index), str(error))
    return tuple(matchers)


def _matchers_of_rule(draft: DocumentBuilder[RuleShape]) -> tuple[LabelMatcher, ...]:
    matchers = _matchers(draft)
    if matchers and len(matchers) == len(draft.shape.spec.matchers or ()) and all(map(takes_everything, matchers)):
        draft.note(
            ("spec", "matchers"),
            "this matches every alert: one matcher must ask for a value, as in alertname=KubePodNotReady",
        )
    return matchers


def build_runbook(draft: DocumentBuilder[RunbookShape]) -> Runbook:
    """Build a runbook; its digest does not know its children yet."""
    spec, path = draft.shape.spec, ("spec",)
    draft.one_of((*path, "service"), spec.service, draft.known.services, "service")
    parameters = tuple(_parameter(draft, name, shape) for name, shape in spec.parameters.items())
    types = {each.name: parameter_type(each.type) if known_type(each.type) else ANY for each in parameters}
    start = StepPlace(services=draft.known.services, parameters=types)
    steps, _ = Steps(draft=draft, about=spec.service or "").in_order(spec.steps, (*path, "steps"), start)
    known = [step.id for step in steps if isinstance(step.do, Run) and not step.do.command.changes]
    if draft.unclear.isdisjoint({"steps", f"steps.{spec.rollback.data_loss_check}"}):
        draft.one_of((*path, "rollback", "dataLossCheck"), spec.rollback.data_loss_check, known, "step that asks")
    in_rollback = Steps(draft=draft, about=spec.service or "", in_rollback=True)
    back, _ = in_rollback.in_order(spec.rollback.steps, (*path, "rollback", "steps"), start)
    built = Runbook(
        name=draft.name,
        title=spec.title,
        service=spec.service or "",
        parameters=parameters,
        approvers=_approvers(spec),
        steps=steps,
        rollback=Rollback(
            after=draft.deadline(spec.rollback.after),
            policy=spec.rollback.policy,
            steps=back,
            then=spec.rollback.then,
            data_loss_check=spec.rollback.data_loss_check or "",
        ),
        complete_once_begun=spec.complete_once_begun,
        rehearsal=spec.rehearsal,
        annotations=draft.shape.metadata.annotations,
        digest=digest_of(draft.document.value, draft.known.durations),
        place=draft.place(("metadata", "name")),
    )
    if built.replaces_data and not built.complete_once_begun:
        draft.note(
            (*path, "steps"), "it replaces data, and half of that is worse than none: write `completeOnceBegun: true`"
        )
    if built.rehearsal:
        for place, what in unfit_for_rehearsal(built):
            draft.note(draft.path_of(place), what)
    return built


def _parameter(draft: DocumentBuilder[RunbookShape], name: str, shape: ParameterShape) -> Parameter:
    path: Path = ("spec", "parameters", name)
    word = shape.type
    default: Value | None = None
    if f"params.{name}" in draft.unclear:
        return Parameter(name=name, type=word)
    if not known_type(word):
        draft.one_of((*path, "type"), word.strip("[]"), PARAMETERS, "type of parameter")
    elif shape.default is not None:
        try:
            default = read_value(word, shape.default, draft.known.durations)
        except ValueError as error:
            draft.note((*path, "default"), str(error))
    source = None if shape.source is None else AlertText.parse(shape.source)
    if shape.source is not None and source is None:
        what = "is no text of an alert: write alert.labels.NAME or alert.annotations.NAME"
        draft.note((*path, "from"), f"{shape.source!r} {what}")
    elif source is not None and known_type(word) and word not in FROM_ALERT:
        draft.note((*path, "from"), f"an alert gives no value of type {word}: use one of {', '.join(FROM_ALERT)}")
    return Parameter(name=name, type=word, source=source, default=default, description=shape.description)


def build_patterns(draft: DocumentBuilder[PatternsShape]) -> Patterns:
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
        digest=digest_of(draft.document.value),
        place=draft.place(("metadata", "name")),
    )


def build_notice_route(draft: DocumentBuilder[NoticeRouteShape]) -> NoticeRoute:
    """Build a notice route."""
    spec = draft.shape.spec
    if draft.name == WEBHOOK:
        draft.note(
            ("metadata", "name"), f"{WEBHOOK!r} is the receiver at notifications.url: give the route another name"
        )
    for index, service in enumerate(spec.services):
        draft.one_of(("spec", "services", index), service, draft.known.services, "service")
    return NoticeRoute(
        name=draft.name,
        services=frozenset(spec.services),
        severities=frozenset(spec.severities),
        matchers=_matchers(draft),
        hours=_hours(spec.hours) if spec.hours is not None else None,
        limit=MessageLimit(messages=spec.limit.messages, within=spec.limit.within),
        template=_template(draft),
        destinations=tuple(map(_destination, spec.to)),
    )


def _template(draft: DocumentBuilder[NoticeRouteShape]) -> str:
    """Return the template of a route's messages, and note what is wrong with its placeholders."""
    path, text = ("spec", "template"), draft.shape.spec.template
    template = Template(text)
    if not template.is_valid():
        draft.note(path, "a `$` begins no placeholder: write $$ for a dollar sign, and ${title} for a placeholder")
    for name in template.get_identifiers():
        draft.one_of(path, name, PLACEHOLDERS, "placeholder")
    return text


def _destination(shape: DestinationShape) -> Destination:
    if shape.slack is not None:
        return SlackChannel(channel=shape.slack.channel)
    assert shape.apprise is not None, "the shape holds one of them"
    return AppriseDestination(name=shape.apprise)


def _hours(shape: HoursShape) -> Hours:
    return Hours(
        begin=shape.begin,
        end=shape.end,
        days=frozenset(map(DAYS.index, shape.days or DAYS)),
        zone=ZoneInfo(shape.time_zone),
    )
