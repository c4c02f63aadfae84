"""
The composition root: builds every object once, in the order in which they need each other.

`build` calls the steps in order; each returns the parts that it has made.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from socket import gethostname

import aiohttp

from kintsugi.actions.actions import Actions
from kintsugi.actions.command_secrets import Encryption
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.workload_reads import Diagnoser
from kintsugi.app.figures import (
    diagnosed_within,
    ledger_host_of,
    limits_of,
    parse,
    poll_interval_of,
    run_policy_of,
    windows_of,
)
from kintsugi.app.good_revisions import GoodRevisionTracker, GoodTemplateKeeper
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.app.pages import read_pages
from kintsugi.app.resolver_notice import ResolverNotice
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.clients.resolver import Lookup, Resolver, resolve
from kintsugi.decisions.outage_notices import OutageTimings
from kintsugi.decisions.recurrence import tried_since
from kintsugi.executor import Executor
from kintsugi.kube.client import KubeClient
from kintsugi.kube.steady_clock import SteadyClock
from kintsugi.ledger import NO_FAILPOINTS, Failpoints, Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.history import RunRemedies
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.views import ServiceView
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.children import ChildRuns
from kintsugi.pipeline.diagnoses import (
    INTERVAL,
    SHORTEST_PAUSE,
    DeclaredWorkloads,
    IncidentDiagnoses,
    WarningWatch,
)
from kintsugi.pipeline.drill_scheduler import DrillScheduler
from kintsugi.pipeline.manual_starts import ManualStarts
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.observer_incident import ObserverIncident
from kintsugi.pipeline.outage_watch import OutageWatch
from kintsugi.pipeline.pending_incidents import PendingIncidents
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.previews import RunPreviewer
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import TARGET_LABELS, Targets
from kintsugi.runner import RunnerDeps
from kintsugi.settings import Settings
from kintsugi.sources.checks import Checks, CheckTerms
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.sources.poll import AlertmanagerApi, AlertmanagerSilences
from kintsugi.telemetry import SECRETS, Containment, get_logger
from kintsugi.views import Caches, ServiceViews
from kubeobjects.predicates import START_UP_ALLOWANCE

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Connections:
    """Connections to the ledger (led since `epoch`), the API server (with its `clock`), Alertmanager and HTTP."""

    clock: SteadyClock
    ledger: Ledger
    epoch: int
    kube: KubeClient
    session: aiohttp.ClientSession
    alertmanager: AlertmanagerApi | None


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """The known state of the cluster. `containment` catches an error that a single object causes."""

    containment: Containment
    caches: Caches
    services: ServiceViews
    observed: ObservedState


@dataclass(frozen=True, kw_only=True)
class Finders:
    """The parts that detect problems and diagnose workloads."""

    watch: ClusterWatch
    checks: Checks
    declared: DeclaredWorkloads
    templates: GoodTemplates
    diagnoser: Diagnoser
    diagnoses: IncidentDiagnoses


@dataclass(frozen=True, kw_only=True)
class Business:
    """The parts that evaluate signals and drive the runs that follow."""

    active_catalog: ActiveCatalog
    supervisor: RunSupervisor
    targets: Targets
    pipeline: Pipeline


@dataclass(frozen=True, kw_only=True)
class Core(Connections, ClusterState, Finders, Business):
    """The parts of a daemon that the server, the CLI's demo and the clock use: all groups, and what only these call."""

    pending_incidents: PendingIncidents
    drill_scheduler: DrillScheduler
    manual_starts: ManualStarts
    good_revisions: GoodRevisionTracker
    names: ResolverNotice
    observer: ObserverIncident
    outages: OutageWatch
    warnings: WarningWatch


async def build(
    settings: Settings,
    catalog: Catalog,
    life: Lifecycle,
    *,
    loopback: bool = False,
    lookup: Lookup = resolve,
    failpoints: Failpoints = NO_FAILPOINTS,
) -> Core:
    """
    Open the ledger and the API, and build the daemon around them; nothing acts yet.

    `loopback` allows probes to 127.0.0.0/8 and `lookup` resolves names. Both are only for the embedded cluster, whose
    programs listen there and whose names no other resolver knows. `failpoints` are for tests. Raises LedgerHeld,
    LedgerUnavailable, KubeError.
    """
    outside = await connect(settings, life, failpoints)
    names = ResolverNotice(outside.ledger.outbox, clock=outside.clock.now)
    actions = actions_on(outside, settings, names, lookup=lookup, loopback=loopback)
    state = state_of(outside, settings, catalog)
    active_catalog = ActiveCatalog(catalog, outside.ledger.catalogs, lambda kept: parse(kept, settings))
    await active_catalog.activate(catalog)
    finders = find_with(
        outside,
        state,
        actions,
        active_catalog,
        settings,
        lambda service: business.supervisor.run_of(service) is not None,
    )
    deps = runner_deps(outside, state, actions, finders, settings, failpoints)
    business = build_remediation(deps, outside, state, active_catalog, settings)
    read_pages(business.pipeline.pages, settings, actions.http, outside.clock.now, life)
    state.observed.names, state.observed.unresolved = lambda: names.sign, lambda: names.problem
    subscribe(outside.clock, state, finders, business)
    log.info("leadership acquired", epoch=outside.epoch, catalog=catalog.digest, mode=settings.mode)
    return core_of(settings, outside, state, finders, business, names)


async def connect(settings: Settings, life: Lifecycle, failpoints: Failpoints) -> Connections:
    """Open the ledger and take the lead, then the API. Raises LedgerHeld, LedgerUnavailable, KubeError."""
    clock = SteadyClock()
    # A pod's host name is its own; without a Lease there is one daemon a ledger, on either database.
    opened = Ledger.open(
        settings.ledger.url, holder=gethostname(), failpoints=failpoints, windows=windows_of(settings), alone=True
    )
    ledger = await life.enter("ledger", opened)
    life.spawn_once("the ledger's lock", ledger.keep_held())
    epoch = await ledger.lead(clock.now())
    await ledger.signals.quarantine(clock.now())
    kube = await life.enter("kubernetes", KubeClient.connect(settings.kube, clock.observe))
    life.spawn("steady clock", clock.run())
    session = await life.enter("http client", aiohttp.ClientSession(trust_env=False))
    alertmanager = AlertmanagerApi(settings.alertmanager, session) if settings.alertmanager.url is not None else None
    return Connections(clock=clock, ledger=ledger, epoch=epoch, kube=kube, session=session, alertmanager=alertmanager)


def actions_on(
    outside: Connections, settings: Settings, names: ResolverNotice, *, lookup: Lookup, loopback: bool
) -> Actions:
    """Return the actions; `names` notifies a person when the cluster's names do not resolve."""
    resolver = Resolver(lookup, report=names.on_answer)
    names.set_names(resolver)
    addresses = AddressRule(allow_loopback=loopback, resolver=resolver)
    encryption = Encryption(settings.ledger.encryption_key_file)
    templates = GoodTemplates(outside.ledger.good_state, encryption)
    clients = replace(
        Clients.restricted_to(addresses),
        protected=settings.protected_namespaces,
        ledger_host=ledger_host_of(settings),
    )
    return Actions(outside.kube, clients, settings.restore, encryption, templates)


def state_of(outside: Connections, settings: Settings, catalog: Catalog) -> ClusterState:
    """Return the caches of the cluster and the views of the services."""
    clock, alertmanager = outside.clock, outside.alertmanager
    containment = Containment()
    caches = Caches.of(outside.kube)
    for _, reflector in caches:
        reflector.contain(containment)
    services = ServiceViews(
        caches,
        catalog,
        clock=clock.now,
        stale_after=settings.kube.stale_after,
        containment=containment,
        clock_problem=lambda: clock.problem,
    )
    clock.on_trusted(services.clock_set)
    observed = ObservedState(
        services=services,
        caches=caches,
        limits=limits_of(settings),
        mode=Mode(settings.mode),
        clock=clock.now,
        start_up=START_UP_ALLOWANCE * settings.durations,
        silences=AlertmanagerSilences(alertmanager, clock.now).suppressed if alertmanager is not None else None,
    )
    return ClusterState(containment=containment, caches=caches, services=services, observed=observed)


def find_with(
    outside: Connections,
    state: ClusterState,
    actions: Actions,
    active_catalog: ActiveCatalog,
    settings: Settings,
    has_open_run: Callable[[str], bool],
) -> Finders:
    """Return the parts that detect problems and diagnose them; `has_open_run` says whether a service has an open run."""
    clock, observed = outside.clock.now, state.observed
    watch = ClusterWatch(state.caches, state.services, outside.ledger, clock=clock, containment=state.containment)
    terms = CheckTerms(
        within=settings.kube.request_timeout,
        prometheus=str(settings.prometheus.url or ""),
        lasting=settings.watchdog.verify,
        has_open_run=has_open_run,
    )
    checks = Checks(state.services, actions, watch.record, clock=clock, terms=terms, containment=state.containment)
    observed.checks, observed.unmet = checks.doubt, checks.unmet
    declared = DeclaredWorkloads(
        catalog=lambda: active_catalog.catalog,
        answers=checks.answers,
        observer=observed.observer,
        share=observed.limits.breaker_share,
        view=observed.current_view,
        start_up=observed.start_up,
    )
    diagnoser = Diagnoser(
        kube=outside.kube,
        clock=clock,
        declared=declared,
        templates=actions.templates,
        incidents=lambda service: outside.ledger.incidents.newest(limit=1, service=service),
    )
    diagnoses = IncidentDiagnoses(
        diagnoser.diagnose,
        outside.ledger.incidents,
        clock=clock,
        within=diagnosed_within(settings),
        containment=state.containment,
    )
    return Finders(
        watch=watch,
        checks=checks,
        declared=declared,
        templates=actions.templates,
        diagnoser=diagnoser,
        diagnoses=diagnoses,
    )


def runner_deps(
    outside: Connections,
    state: ClusterState,
    actions: Actions,
    finders: Finders,
    settings: Settings,
    failpoints: Failpoints,
) -> RunnerDeps:
    """Return the dependencies that all runs share."""
    clock, observed = outside.clock.now, state.observed

    async def tried(view: ServiceView) -> tuple[RunRemedies, ...]:
        since = tried_since(observed.well(view.name), good_after=observed.limits.good_after, now=clock())
        return await outside.ledger.incidents.past_remedies(view.name, since, template=view.template)

    return RunnerDeps(
        executor=Executor(actions, failpoints, clock=clock),
        prober=actions,
        observed=observed,
        clock=clock,
        poll_interval=poll_interval_of(settings),
        command_timeout=settings.kube.request_timeout,
        prometheus=str(settings.prometheus.url or ""),
        diagnoses=finders.diagnoses,
        declared=finders.declared,
        checks=finders.checks,
        tried=tried,
    )


def build_remediation(
    deps: RunnerDeps, outside: Connections, state: ClusterState, active_catalog: ActiveCatalog, settings: Settings
) -> Business:
    """Return the parts that evaluate signals and drive runs, and connect the observed state to them."""
    ledger, observed, limits = outside.ledger, state.observed, state.observed.limits
    policy = run_policy_of(settings, limits)
    supervisor = RunSupervisor(deps, ledger, active_catalog, policy, containment=state.containment)
    supervisor.children = ChildRuns(ledger, active_catalog, observed, supervisor)
    observed.under_way = lambda: supervisor.under_way
    observed.slot_namespaces = lambda: supervisor.slot_namespaces
    targets = Targets(outside.kube, state.caches, state.services, limits.protected)
    pipeline = Pipeline(
        ledger, active_catalog, observed, targets, supervisor, approval_expiry=settings.guards.approval_expiry
    )
    previewer = RunPreviewer(
        deps=deps,
        ledger=ledger,
        active_catalog=active_catalog,
        containment=state.containment,
        within=diagnosed_within(settings),
    )
    pipeline.requester.preview = previewer.preview
    return Business(active_catalog=active_catalog, supervisor=supervisor, targets=targets, pipeline=pipeline)


def subscribe(clock: SteadyClock, state: ClusterState, finders: Finders, business: Business) -> None:
    """Subscribe the parts to each other's events: signals, a clock that is trusted again, a new catalog."""
    pipeline, active_catalog = business.pipeline, business.active_catalog
    pipeline.requester.on_waiting(finders.diagnoses.ask)
    finders.watch.on_signals(lambda _: pipeline.wake())
    clock.on_trusted(finders.watch.reevaluate_all)
    active_catalog.on_change(lambda changed, _: state.services.reload(changed))
    active_catalog.on_change(
        lambda changed, _: state.caches.keep_events_in({each.namespace for each in changed.services.values()})
    )
    active_catalog.on_change(lambda changed, _: spare_names(changed))
    active_catalog.on_change(finders.watch.reload)
    active_catalog.on_change(finders.checks.reload)


def core_of(
    settings: Settings,
    outside: Connections,
    state: ClusterState,
    finders: Finders,
    business: Business,
    names: ResolverNotice,
) -> Core:
    """Return all parts together, with those that only the clock or a person calls."""
    ledger, observed, pipeline = outside.ledger, state.observed, business.pipeline
    active_catalog, supervisor = business.active_catalog, business.supervisor
    return Core(
        **vars(outside),
        **vars(state),
        **vars(finders),
        **vars(business),
        pending_incidents=PendingIncidents(ledger, pipeline, active_catalog, observed, supervisor),
        drill_scheduler=DrillScheduler(ledger, active_catalog, observed, supervisor),
        manual_starts=ManualStarts(
            ledger,
            active_catalog,
            observed,
            supervisor,
            approval_expiry=settings.guards.approval_expiry,
            durations=settings.durations,
        ),
        good_revisions=good_revisions_of(settings, outside, state, finders),
        names=names,
        observer=ObserverIncident(ledger, observed, notify_after=settings.kube.notify_after),
        outages=outages_of(settings, outside, state, finders, pipeline),
        warnings=warnings_of(settings, state, finders),
    )


def outages_of(
    settings: Settings, outside: Connections, state: ClusterState, finders: Finders, pipeline: Pipeline
) -> OutageWatch:
    """Return the part that notifies a person of services that are down and not repaired."""
    watch = OutageWatch(
        ledger=outside.ledger,
        observed=state.observed,
        diagnose=finders.diagnoses.diagnose,
        containment=state.containment,
        timings=OutageTimings().scaled(settings.durations),
        notifies=settings.notifications.are_sent,
        on_fault=pipeline.evaluate_refused,
    )
    state.observed.outage = watch.outages.get
    return watch


def warnings_of(settings: Settings, state: ClusterState, finders: Finders) -> WarningWatch:
    """Return the part that finds what the objects of services that are well show to be wrong."""
    return WarningWatch(
        services=state.services,
        diagnose_alone=partial(finders.diagnoser.diagnose, upstreams=False),
        containment=state.containment,
        within=finders.diagnoses.within,
        interval=max(INTERVAL * settings.durations, SHORTEST_PAUSE),
    )


def good_revisions_of(
    settings: Settings, outside: Connections, state: ClusterState, finders: Finders
) -> GoodRevisionTracker:
    """Return the part that keeps the revisions and templates with which services were healthy."""
    return GoodRevisionTracker(
        state.services,
        state.observed,
        outside.ledger,
        finders.checks,
        lasting=settings.watchdog.good_after,
        templates=GoodTemplateKeeper(state.services, outside.kube, finders.templates),
    )


def spare_names(catalog: Catalog) -> None:
    """
    Mask no name of the catalog and no label that its rules judge by, and warn where a secret has such a name's value.

    The warning does not name it.
    """
    services = catalog.services.values()
    places = [
        name for each in services for name in (each.namespace, each.workload.name if each.workload else each.name)
    ]
    names = {*catalog.services, *catalog.rules, *catalog.runbooks, *places}
    if found := SECRETS.spare(names, _matched_labels(catalog)):
        log.warning("secrets have the values of names in the catalog, and are not masked there", secrets=len(found))


def _matched_labels(catalog: Catalog) -> frozenset[str]:
    """Name the labels and annotations of alerts that rules ask for, and those that name objects."""
    rules = catalog.rules.values()
    matched = {matcher.label for rule in rules for matcher in rule.matchers}
    conditions = [rule.when for rule in rules if rule.on is RuleSource.ALERT and rule.when is not None]
    read = {
        name.removeprefix(place)
        for condition in conditions
        for name in condition.reads
        for place in ("alert.labels.", "alert.annotations.")
        if name.startswith(place)
    }
    return frozenset({*TARGET_LABELS, *matched, *read})
