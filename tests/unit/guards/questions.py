"""A claim that nothing speaks against, to be spoiled in one place each."""

from datetime import datetime

from kintsugi.guards import Circumstances, Limits, Observer, check
from kintsugi.model.documents import Mode, Rule
from kintsugi.model.history import History
from kintsugi.model.records import Verdict
from kintsugi.priorities import Hold
from tests.unit import factories

LIMITS = Limits(ledger_host="postgres.kintsugi.svc.cluster.local")


def circumstances(
    *,
    rule: Rule | None = None,
    mode: Mode = Mode.AUTO,
    namespace: str = "production",
    locks: tuple[str, ...] = ("service web", "production/deployment/web"),
    observer: Observer | None = None,
    hold: Hold | None = None,
    managers: tuple[str, ...] = (),
    annotation: str = "",
    approved: bool = False,
) -> Circumstances:
    """Give the circumstances of a claim of web that may start."""
    service = factories.catalog(
        factories.service_text(namespace=namespace), factories.rule_text(), factories.runbook_text()
    ).services["web"]
    return Circumstances(
        rule=rule or factories.rule(),
        service=service,
        mode=mode,
        locks=locks,
        observer=observer or Observer(seen=10),
        hold=hold,
        managers=managers,
        paused_by_annotation=annotation,
        approved=approved,
    )


def judged(
    facts: Circumstances | None = None,
    history: History | None = None,
    *,
    limits: Limits = LIMITS,
    now: datetime = factories.NOW,
) -> Verdict:
    """Ask all guards."""
    return check(facts or circumstances(), history or History(), limits, now=now)
