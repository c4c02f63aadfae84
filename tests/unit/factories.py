"""
Plain values for unit tests: documents made of YAML text through the catalog's own door, views, pods and records.

What a test does not name has a plain default. `NOW` is the moment of all of them; `moment(minutes=5)` is five minutes on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from textwrap import dedent, indent

from kintsugi.catalog import Source, load_sources
from kintsugi.model.catalog import Catalog
from kintsugi.model.history import PastRun, Rejection
from kintsugi.model.questions import Answer, Question
from kintsugi.model.records import (
    Incident,
    IncidentState,
    Pause,
    PauseScope,
    RunRecord,
    Signal,
    SignalSource,
    SignalStatus,
    StepRecord,
    StepState,
    Target,
    Trigger,
)
from kintsugi.model.rules import Mode, Rule, RuleSource
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Condition, ContainerStatus, Deployment, Metadata, OwnerReference, Pod
from kubeobjects.pods import ContainerState, ContainerStateRunning, PodStatus
from kubeobjects.rollouts import COMPLETE
from kubeobjects.workloads import DeploymentSpec, DeploymentStatus
from tests.harness.answers import said

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def moment(*, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
    """Return the moment that long after NOW; negative figures are before it."""
    return NOW + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def virtual_clock() -> datetime:
    """Return NOW plus what the event loop's own (virtual) time has run."""
    return NOW + timedelta(seconds=asyncio.get_running_loop().time())


def service_text(
    name: str = "web",
    *,
    priority: int = 2,
    depends_on: Sequence[str] = (),
    namespace: str = "production",
    healthy: str = "desired > 0 && ready >= desired",
    runbook: str = "mend",
    more: str = "",
) -> str:
    """Write a Service whose pods carry `app=NAME`, owned by deployment NAME; `more` are further keys of its spec."""
    return dedent(
        f"""\
        apiVersion: kintsugi.dev/v1alpha1
        kind: Service
        metadata: {{name: {name}}}
        spec:
          priority: {priority}
          dependsOn: [{", ".join(depends_on)}]
          namespace: {namespace}
          selector: app={name}
          workload: deployment/{name}
          healthy: {healthy}
          runbook: {runbook}
        """
    ) + indent(dedent(more), "  ")


def rule_text(name: str = "web-pods", *, service: str = "web", on: str = "pod", more: str = "") -> str:
    """Write a Rule in mode auto; one on pods asks `object.unhealthy`. `more` are further keys of its spec."""
    when = "  when: object.unhealthy\n" if on == "pod" else ""
    head = dedent(
        f"""\
        apiVersion: kintsugi.dev/v1alpha1
        kind: Rule
        metadata: {{name: {name}}}
        spec:
          on: {on}
          service: {service}
          mode: auto
        """
    )
    return head + when + indent(dedent(more), "  ")


LOOK = "- {id: look, run: kubectl get pods, expect: size(items) > 0}"


def runbook_text(steps: str = LOOK, *, name: str = "mend", more: str = "", rollback: str = "") -> str:
    """Write a Runbook; `more` are further keys of its spec, `rollback` those of its rollback."""
    head = f"apiVersion: kintsugi.dev/v1alpha1\nkind: Runbook\nmetadata: {{name: {name}}}\nspec:\n  title: Mend it\n"
    body = indent(dedent(more).strip("\n") + "\n", "  ") if more else ""
    back = "  rollback:\n" + indent(dedent(rollback).strip("\n") + "\n", "    ") if rollback else ""
    return f"{head}{body}  steps:\n" + indent(dedent(steps).strip("\n") + "\n", "    ") + back


@lru_cache(maxsize=256)
def catalog(*texts: str, durations: float = 1.0) -> Catalog:
    """Load documents, each as a file of its own."""
    sources = [Source(name=f"{index}.yaml", content=text.encode()) for index, text in enumerate(texts)]
    return load_sources(sources, durations=durations)


@lru_cache(maxsize=1)
def shop() -> Catalog:
    """Load the catalog of most tests: the service web, its rule on pods, its runbook."""
    return catalog(service_text(), rule_text(), runbook_text())


@lru_cache(maxsize=16)
def services(*edges: tuple[str, tuple[str, ...]]) -> Mapping[str, Service]:
    """Load services that depend on each other: `services(("web", ("api",)), ("api", ()))`."""
    texts = [service_text(name, depends_on=upstreams) for name, upstreams in edges]
    return catalog(*texts, rule_text(service=edges[0][0]), runbook_text()).services


def web() -> Service:
    """Return the service web."""
    return shop().services["web"]


def rule(*, name: str = "web-pods", cooldown: timedelta = timedelta(minutes=10), mode: Mode = Mode.AUTO) -> Rule:
    """Return a rule of web on pods."""
    return replace(shop().rules["web-pods"], name=name, cooldown=cooldown, mode=mode)


def view(
    service: Service | None = None,
    *,
    ready: int = 3,
    desired: int = 3,
    healthy: bool | None = True,
    since: datetime = NOW,
    is_current: bool = True,
    pods: tuple[Pod, ...] = (),
    template: str = "",
) -> ServiceView:
    """Return a service as the caches show it: well, or failing, `since` that moment; its rollout is complete."""
    service = service or web()
    return ServiceView(
        service=service,
        workload=deployment(service, desired=desired, ready=ready),
        ready=ready,
        desired=desired,
        healthy=healthy,
        healthy_since=since if healthy is True else None,
        failing_since=since if healthy is False else None,
        is_current=is_current,
        pods=pods,
        template=template,
    )


def deployment(
    service: Service, *, desired: int = 3, ready: int = 3, updated: int | None = None, release: str = ""
) -> Deployment:
    """
    Return a service's Deployment, of a Helm release where one is named.

    With fewer `updated` pods its rollout is stuck beside old ones that are ready.
    """
    rolls = updated is not None and updated < desired
    progressing = Condition(type="Progressing", status="True", reason="ReplicaSetUpdated" if rolls else COMPLETE)
    status = DeploymentStatus(
        replicas=desired + 1 if rolls else desired,
        updated_replicas=desired if updated is None else updated,
        ready_replicas=ready,
        available_replicas=ready,
        conditions=(progressing,),
    )
    name = service.workload.name
    metadata = Metadata(
        name=name,
        namespace=service.namespace,
        uid=f"uid-{name}",
        labels={"app.kubernetes.io/managed-by": "Helm"} if release else {},
        annotations={"meta.helm.sh/release-name": release} if release else {},
    )
    return Deployment(metadata=metadata, spec=DeploymentSpec(replicas=desired), status=status)


def pod(
    name: str = "web-1",
    *,
    ready: bool = True,
    namespace: str = "production",
    labels: Mapping[str, str] | None = None,
    restarts: int = 0,
    owner: str = "ReplicaSet",
    version: str = "1",
    uid: str = "",
    made: datetime | None = None,
) -> Pod:
    """
    Return a pod of web that has run for an hour; an unready one became so half an hour ago. `owner` "" is a bare pod.

    With `made` it was made then, and has become ready then if it is.
    """
    owners = (OwnerReference(kind=owner, name="web-7d4", uid="rs", controller=True),) if owner else ()
    condition = Condition(
        type="Ready",
        status="True" if ready else "False",
        last_transition_time=made or moment(minutes=-60 if ready else -30),
    )
    container = ContainerStatus(
        name="main",
        ready=ready,
        started=True,
        restart_count=restarts,
        state=ContainerState(running=ContainerStateRunning(started_at=moment(minutes=-60))),
    )
    return Pod(
        metadata=Metadata(
            name=name,
            namespace=namespace,
            uid=uid or f"uid-{name}",
            labels=dict(labels if labels is not None else {"app": "web"}),
            resource_version=version,
            creation_timestamp=made or moment(minutes=-60),
            owner_references=owners,
        ),
        status=PodStatus(phase="Running", conditions=(condition,), container_statuses=(container,)),
    )


def incident(*, state: IncidentState = IncidentState.RUNNING, service: str = "web") -> Incident:
    """Return an incident that was opened now."""
    return Incident(
        id="inc-1",
        service=service,
        rule="web-pods",
        runbook="mend",
        mode=Mode.AUTO,
        state=state,
        reason="pod web-1 is unhealthy",
        opened=NOW,
    )


def run(
    *,
    service: str = "web",
    state: IncidentState = IncidentState.RUNNING,
) -> RunRecord:
    """Return a run that starts now, with half an hour until its deadline."""
    return RunRecord(
        id="run-1",
        incident="inc-1",
        service=service,
        namespace="production",
        rule="web-pods",
        runbook="mend",
        catalog="c",
        parameters={},
        epoch=1,
        state=state,
        started=NOW,
        deadline=moment(minutes=30),
    )


def ended(state: IncidentState = IncidentState.RECOVERED, *, finished: datetime = NOW) -> tuple[Incident, RunRecord]:
    """Return a run that took five minutes and ended so, with its incident."""
    began = finished - timedelta(minutes=5)
    over = replace(run(state=state), started=began, finished=finished, changed=True)
    return replace(incident(state=state), opened=began, closed=finished), over


def step(path: str = "scale#0", *, state: StepState = StepState.PLANNED) -> StepRecord:
    """Return the record of one step of the run."""
    return StepRecord(run="run-1", path=path, name=path, state=state)


def trigger_of(signals: Sequence[Signal]) -> Trigger:
    """Sum signals up as the ledger does."""
    lasting = [each for each in signals if each.kind is not RuleSource.EVENT]
    firing = [each for each in signals if each.status is SignalStatus.FIRING]
    return Trigger(
        firing=any(each.status is SignalStatus.FIRING for each in lasting),
        ended=max((each.ended for each in lasting if each.ended is not None), default=None),
        alerts_only=bool(firing) and all(each.kind is RuleSource.ALERT for each in firing),
    )


def signal(
    *,
    kind: RuleSource = RuleSource.POD,
    rule: str = "web-pods",
    key: str = "web-pods/uid-web-1",
    ended: datetime | None = None,
    labels: Mapping[str, str] | None = None,
    id: str = "sig-1",  # noqa: A002 - the record's own word
) -> Signal:
    """Return a signal that fires since now, or has ended at `ended`."""
    return Signal(
        id=id,
        source=SignalSource.ALERTMANAGER if kind is RuleSource.ALERT else SignalSource.WATCH,
        kind=kind,
        key=key,
        status=SignalStatus.FIRING if ended is None else SignalStatus.RESOLVED,
        rule="" if kind is RuleSource.ALERT else rule,
        labels=labels or {},
        target=None
        if kind is RuleSource.ALERT
        else Target(kind="Pod", namespace="production", name="web-1", uid="uid-web-1"),
        began=NOW,
        ended=ended,
        received=NOW,
    )


def past(
    state: IncidentState = IncidentState.RECOVERED,
    *,
    finished: datetime | None = NOW,
    service: str = "web",
    rule: str = "web-pods",
) -> PastRun:
    """Return a run of web that took five minutes and ended so; `finished` None is one under way."""
    return PastRun(
        service=service,
        namespace="production",
        rule=rule,
        incident="inc-1",
        state=state,
        started=(finished or NOW) - timedelta(minutes=5),
        finished=finished,
        changes=1,
    )


def pause(
    scope: PauseScope = PauseScope.GLOBAL,
    name: str = "",
    *,
    since: datetime = NOW,
    until: datetime | None = None,
    freeze: bool = False,
) -> Pause:
    """Return Ada's pause."""
    return Pause(id="p-1", scope=scope, name=name, who="ada", why="a release", freeze=freeze, since=since, until=until)


def approval(path: str = "", *, answered: datetime | None = None) -> Question:
    """Return a question about incident inc-1, which Ada has answered if a moment is given."""
    return Question(
        incident="inc-1",
        path=path,
        text="May it go on?",
        plan="p",
        asked=NOW,
        expires=moment(minutes=30),
        **(said(Answer.YES, "ada", answered) if answered else {}),
    )


def rejection(*, rule: str = "web-pods", plan: str = "p-1", rejected: datetime = NOW) -> Rejection:
    """Return a plan that Ada has rejected."""
    return Rejection(rule=rule, plan=plan, text="the plan was rejected by ada: a deploy", rejected=rejected)
