"""The figures that parts derive from the settings: of guards, runs and windows; and the terms of reading a catalog."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from kintsugi.catalog import Source, load_sources
from kintsugi.clients.resolver import nameservers
from kintsugi.decisions.guards import Limits
from kintsugi.decisions.priorities import HoldTimings
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.ledger import Windows
from kintsugi.model.catalog import Catalog
from kintsugi.pipeline.run_supervisor import RunPolicy
from kintsugi.settings import Settings

POLL_INTERVAL = timedelta(seconds=1)
"""The pause between two looks of a step; scaled by `durations` down to `SHORTEST_POLL_INTERVAL`."""

SHORTEST_POLL_INTERVAL = timedelta(milliseconds=100)

DIAGNOSED_WITHIN = timedelta(seconds=10)
"""The limit of a run's wait for its diagnosis; a busy API server needs it whatever `durations` is, and `deadlines` only raises it."""


def poll_interval_of(settings: Settings) -> timedelta:
    """Return the pause between two looks of a step."""
    return max(POLL_INTERVAL * settings.durations, SHORTEST_POLL_INTERVAL)


def diagnosed_within(settings: Settings) -> timedelta:
    """Return how long a run waits for its diagnosis at most."""
    return max(DIAGNOSED_WITHIN * settings.deadlines, DIAGNOSED_WITHIN)


def windows_of(settings: Settings) -> Windows:
    """Return how far back the ledger is asked, so that it keeps what the guards look at."""
    guards = settings.guards
    return Windows.covering(changes=guards.budget_window, runs=max(guards.cooldown_max, guards.failures_pause))


def parse(texts: Mapping[str, str], settings: Settings) -> Catalog:
    """Read a catalog from the texts that the ledger kept."""
    sources = [Source(name=name, content=text.encode()) for name, text in texts.items()]
    return load_sources(sources, durations=settings.durations, deadlines=settings.deadlines)


def ledger_host_of(settings: Settings) -> str:
    """Return where the ledger's database is, a name as NAME.NAMESPACE…; "" where it is a file."""
    parts = urlsplit(settings.ledger.url)
    said = dict(parse_qsl(parts.query)).get("host", "")  # as psql takes it, too: postgresql:///NAME?host=HOST
    host = parts.hostname or said.rpartition(":")[0] or said
    return host if "." in host or ":" in host or not host else f"{host}.{settings.namespace}"


def limits_of(settings: Settings) -> Limits:
    """Return the figures of the guards."""
    guards = settings.guards
    limits = Limits(
        protected=settings.protected_namespaces,
        ledger_host=ledger_host_of(settings),
        nameservers=nameservers(),
        cooldown_max=guards.cooldown_max,
        failures=guards.failures,
        failures_pause=guards.failures_pause,
        recoveries=guards.recoveries,
        recoveries_window=guards.recoveries_window,
        recoveries_pause_max=guards.recoveries_pause_max,
        budget=guards.budget,
        budget_window=guards.budget_window,
        max_unavailable=int(guards.max_unavailable.rstrip("%")),
        max_concurrent_services=guards.max_concurrent_services,
        max_concurrent_services_per_namespace=guards.max_concurrent_services_per_namespace,
        breaker_share=guards.breaker_share,
        good_after=settings.watchdog.good_after,
        holds=HoldTimings(
            limit=guards.hold_limit,
            steady=guards.serving_for,
            head_start=HoldTimings().head_start * settings.durations,
            alert_lag=settings.watchdog.alert_lag,
        ),
    )
    return replace(limits, recheck_after=limits.recheck_after * settings.durations)


def run_policy_of(settings: Settings, limits: Limits) -> RunPolicy:
    """Return the figures of runs."""
    watchdog = settings.watchdog
    return RunPolicy(
        timings=WatchdogTimings(
            verify=watchdog.verify,
            alert_lag=watchdog.alert_lag,
            failing_for=watchdog.failing_for,
            relapse=WatchdogTimings().relapse * settings.durations,
        ),
        limits=limits,
        approval_expiry=settings.guards.approval_expiry,
        retry_after=poll_interval_of(settings),
    )
