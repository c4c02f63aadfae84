"""The groups of parts that the composition root makes one after another, each from those before it."""

from dataclasses import dataclass

import aiohttp

from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.kube.client import KubeClient
from kintsugi.kube.steady_clock import SteadyClock
from kintsugi.ledger import Ledger
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.declared_workloads import DeclaredWorkloads
from kintsugi.pipeline.diagnoser import Diagnoser
from kintsugi.pipeline.incident_diagnoses import IncidentDiagnoses
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import Targets
from kintsugi.sources.checks import Checks
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.sources.poll import AlertmanagerApi
from kintsugi.telemetry import Containment
from kintsugi.views import Caches, ServiceViews


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
