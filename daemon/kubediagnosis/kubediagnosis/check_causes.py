"""StaleConfiguration, NotAnswering and Certificate: pods are ready, and what they answer is wrong, or will be."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from kubediagnosis import answering, evidence_items, last_change, references, services, words
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import BackendAnswer, CheckFacts, ConfigurationFacts, PodFacts, WorkloadFacts
from kubeobjects import predicates

RIGHT_BEFORE = timedelta(minutes=15)
"""
The longest time between a change and a failing check that the change can have caused: a check is asked every few
seconds, and a volume follows a change in minutes.
"""

_TLS_KEY = "tls.crt"


def stale_configuration(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find containers that began before a ConfigMap or Secret changed that they read only at their start.

    The cause is certain where the written key is known and existed before. As the reason of an unmet check it is only
    likely. While all checks are met, pods that a rollout is about to replace are ignored. Where a pod with the change
    does not start, the older pods are the good ones.
    """
    for pod in last_change.living(facts):
        if not predicates.ready(pod) or (last_change.is_replaced(facts, pod) and not answering.unmet(facts)):
            continue
        for configuration in facts.configurations:
            began = _began(pod, configuration)
            if began is None or configuration.changed is None or configuration.changed <= began:
                continue
            if _is_known_and_harms(facts, configuration.changed):
                continue
            if (key := _key(pod, configuration)) is not None:
                yield _stale(facts, (pod, began), configuration, key)


def not_answering(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find checks that are not met though pods are ready; the field is what changed right before, else the workload as a whole.

    Of a derived check the pods themselves answer the same request: no change of them helps. Where pods that were asked by themselves
    differ, it is of those that do not answer.
    """
    unmet = answering.unmet(facts)
    if not unmet or not answering.serves(facts):
        return
    first = next((each for each in unmet if each.backends), unmet[0])
    if found := tuple(_by_single_pods(facts, first)):
        yield from found
        return
    answer = f": {evidence_items.short(first.answer, 200)}" if first.answer else ""
    if first.through:
        kind, (holder, field) = CauseKind.SERVICE_ROUTING, (first.through, "")
        text = f"the pods answer the HTTP probe of their kubelets, but not through {first.through}"
    else:
        kind, (holder, field) = CauseKind.NOT_ANSWERING, _blamed(facts)
        text = f"pods are ready, but the check {first.name} fails"
    yield Cause(
        kind=kind,
        object=holder,
        field=field,
        confidence=Confidence.LIKELY,
        text=f"{text}{answer}",
        evidence=answering.answers(facts),
    )


def _by_single_pods(facts: WorkloadFacts, check: CheckFacts) -> Iterator[Cause]:
    """Find what differs between the pods that answer a check by themselves and those that do not; nothing where the workload's all fail."""
    own = {pod.metadata.name: pod for pod in facts.pods}
    failing, good = ([each for each in check.backends if each.met is met] for met in (False, True))
    well = [own[each.pod] for each in good if each.pod in own]
    if not failing and not check.through:
        yield from _behind_service(facts, check, len(good))
    if not failing or not well:
        return
    others: dict[str, list[BackendAnswer]] = defaultdict(list)
    for each in failing:
        if each.pod not in own:
            others[each.workload or f"pod/{each.pod}"].append(each)
    for holder, found in others.items():
        text = f"pods of {holder} are behind the same Service, and do not answer the check {check.name} as those of {facts.reference} do"
        yield _of_pods(holder, "spec.template" if found[0].workload else "", text, check, found)
    mine = [each for each in failing if each.pod in own]
    newest = facts.revisions[0].hash if facts.revisions else ""
    if (
        mine
        and {own[each.pod].template_hash for each in mine} == {newest}
        and all(each.template_hash != newest for each in well)
    ):
        text = f"the pods of the new template do not answer the check {check.name}, and those of the template before do"
        yield _of_pods(facts.reference, _newest_field(facts), text, check, mine)
    elif mine:
        text = f"{len(mine)} of {len(mine) + len(well)} pods, asked by themselves, do not answer the check {check.name}"
        yield _of_pods(f"pod/{mine[0].pod}", "", text, check, mine)


def _behind_service(facts: WorkloadFacts, check: CheckFacts, asked: int) -> Iterator[Cause]:
    """Find a check that is not met, or not always, though all the pods that were asked by themselves answer."""
    leading = next((services.reference(each) for each in services.leading(facts)), "")
    if asked and leading:
        answer = evidence_items.short(check.answer, 200)
        text = f"each pod answers the check {check.name} by itself, but not every request through {leading} is answered so: {answer}"
        yield Cause(
            kind=CauseKind.NOT_ANSWERING,
            object=leading,
            field="",
            confidence=Confidence.LIKELY,
            text=text,
            evidence=answering.answers(facts),
        )


def _of_pods(holder: str, field: str, text: str, check: CheckFacts, failing: Sequence[BackendAnswer]) -> Cause:
    name = f"check {check.name}"
    return Cause(
        kind=CauseKind.NOT_ANSWERING,
        object=holder,
        field=field,
        confidence=Confidence.CERTAIN,
        text=f"{text}: {evidence_items.short(failing[0].answer, 200)}",
        evidence=tuple(evidence_items.field(f"pod/{each.pod}", name, each.answer, check.since) for each in failing),
    )


def certificate(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find a certificate that a check says has expired: the one that the pods show, where they have one alone."""
    for text, seen in answering.unmet_checks(facts):
        if not words.CERTIFICATE_EXPIRED.search(text) or not answering.unmet(facts):
            continue
        named = {each.reference for each in facts.configurations if _TLS_KEY in each.keys}
        holder = named.pop() if len(named) == 1 else facts.reference
        yield Cause(
            kind=CauseKind.CERTIFICATE,
            object=holder,
            field=f"data[{_TLS_KEY}]" if holder != facts.reference else "",
            confidence=Confidence.LIKELY,
            text=f"the presented certificate has expired: {evidence_items.short(text, 200)}",
            evidence=(seen,),
        )


def _began(pod: PodFacts, configuration: ConfigurationFacts) -> datetime | None:
    """Return when the first of the containers started that read a ConfigMap or Secret at their start."""
    used = [each.field for each in references.read_at_start(pod.spec, configuration)]
    starts = [
        status.state.running.started_at
        for status, has_to_end in pod.statuses()
        if not has_to_end
        and status.state.running is not None
        and status.state.running.started_at is not None
        and any(field.startswith(f"{pod.field_of(status.name)}.") for field in used)
    ]
    return min(starts, default=None)


def _is_known_and_harms(facts: WorkloadFacts, changed: datetime) -> bool:
    """Return whether a pod that was made after a change is not ready."""
    made = ((pod.metadata.creation_timestamp, pod) for pod in last_change.living(facts))
    return any(at is not None and at >= changed and not predicates.ready(pod) for at, pod in made)


def _key(pod: PodFacts, configuration: ConfigurationFacts) -> str | None:
    """
    Return the written key that is used, "" where the written key is not known, None where another key was written.
    """
    used = {each.key for each in references.read_at_start(pod.spec, configuration)}
    if not configuration.changed_keys:
        return ""
    return next((each for each in configuration.changed_keys if each in used or "" in used), None)


def _stale(
    facts: WorkloadFacts, which: tuple[PodFacts, datetime], configuration: ConfigurationFacts, key: str
) -> Cause:
    pod, began = which
    changed, made = configuration.changed, configuration.created
    assert changed is not None, "only what has changed is stale"
    sure = bool(key) and made is not None and made < began and not answering.unmet(facts)
    what = f"key {key} of {configuration.reference}" if key else configuration.reference
    return Cause(
        kind=CauseKind.STALE_CONFIGURATION,
        object=configuration.reference,
        field=f"data[{key}]" if key else "",
        confidence=Confidence.CERTAIN if sure else Confidence.LIKELY,
        text=f"pods read {what} when they started, before it changed, and still use the old values ({changed:%H:%M:%S})",
        evidence=(
            evidence_items.field(
                configuration.reference, "metadata.managedFields", f"written: {key or 'data'}", changed
            ),
            evidence_items.field(
                pod.reference, "status.containerStatuses", f"running since {began:%Y-%m-%dT%H:%M:%SZ}", began
            ),
            *answering.answers(facts),
        ),
        is_warning=answering.is_well(facts),
    )


def _blamed(facts: WorkloadFacts) -> tuple[str, str]:
    """Return object and field of what changed last before the check was not met: configuration or template, else nothing."""
    until = answering.since(facts) or facts.now
    found: list[tuple[datetime, str, str]] = []
    revision, field = (facts.revisions[0] if facts.revisions else None), _newest_field(facts)
    if revision is not None and field and not revision.returned and _is_right_before(revision.created, until):
        assert revision.created is not None
        found.append((revision.created, facts.reference, field))
    found += [
        (each.changed or facts.now, each.reference, f"data[{each.changed_keys[0]}]" if each.changed_keys else "")
        for each in facts.configurations
        if references.reads(facts.template, each) and _is_new(each, facts) and _is_right_before(each.changed, until)
    ]
    return max(found)[1:] if found else (facts.reference, "")


def _newest_field(facts: WorkloadFacts) -> str:
    """Return what the template in force has changed, an image before all else; "" for nothing."""
    changes = last_change.changes(facts)
    return next((each for each in changes if each.endswith(".image")), next(iter(changes), ""))


def _is_new(configuration: ConfigurationFacts, facts: WorkloadFacts) -> bool:
    """Return whether a ConfigMap or Secret changed while the workload was there: what was written before is how it began."""
    return configuration.changed is not None and (facts.created is None or configuration.changed > facts.created)


def _is_right_before(at: datetime | None, until: datetime) -> bool:
    return at is not None and at <= until and until - at <= RIGHT_BEFORE
