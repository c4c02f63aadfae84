"""A request that nothing speaks against, to be spoiled in one place each."""

from datetime import datetime

from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.guards import GuardContext, Limits, check
from kintsugi.decisions.priorities import Hold
from kintsugi.model.history import History
from kintsugi.model.records import Verdict
from kintsugi.model.rules import Mode, Rule
from kubeobjects.owners import Manager
from tests.unit import factories

LIMITS = Limits(ledger_host="postgres.kintsugi.svc.cluster.local")


def guard_context(
    *,
    rule: Rule | None = None,
    mode: Mode = Mode.AUTO,
    namespace: str = "production",
    locks: tuple[str, ...] = ("service web", "production/deployment/web"),
    observer: ObserverHealth | None = None,
    holds: tuple[Hold, ...] = (),
    managers: tuple[Manager, ...] = (),
    annotation: str = "",
    approved: bool = False,
) -> GuardContext:
    """Return the circumstances of a request of web that may start."""
    service = factories.catalog(
        factories.service_text(namespace=namespace), factories.rule_text(), factories.runbook_text()
    ).services["web"]
    return GuardContext(
        rule=rule or factories.rule(),
        service=service,
        mode=mode,
        locks=locks,
        observer=observer or ObserverHealth(seen=10),
        holds=holds,
        managers=managers,
        paused_by_annotation=annotation,
        approved=approved,
    )


def judged(
    context: GuardContext | None = None,
    history: History | None = None,
    *,
    limits: Limits = LIMITS,
    now: datetime = factories.NOW,
) -> Verdict:
    """Ask all guards."""
    return check(context or guard_context(), history or History(), limits, now=now)
