"""
Runs the page of an alert that no rule is for: only on the one service that the alert is about, and seldom for the same alert.

A run of a page reads, whatever the daemon's mode. It takes no lock, no slot and no budget, and no guard counts it.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from kintsugi.catalog.pages import PageUnreadable, RunbookPage
from kintsugi.decisions.guards import check, paused, stale
from kintsugi.decisions.page_probes import RULE
from kintsugi.decisions.planner import plan
from kintsugi.errors import KubeError
from kintsugi.ledger import Ledger, RunRequest
from kintsugi.model.history import History
from kintsugi.model.records import Incident, IncidentState, Reason, RunKind, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Mode, Rule, RuleSource
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.pages import PagePending, RunbookPages
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import Targets

LIMIT = timedelta(minutes=5)
"""How long a page may be read."""

AGAIN_AFTER = timedelta(minutes=30)
"""How long an alert joins the last incident of its page, so that a flapping one is not read and told again and again."""

MOST_AT_ONCE = 3
"""Pages that are read at once: a storm of alerts must not take the requests that recoveries need."""

MOST_LOOKED_AT = 20
"""Incidents of the service among which the last one of a page is looked for."""

RULES_LEFT = frozenset({Reason.NO_RULE, Reason.FOREIGN_TARGET})
"""The verdicts that no rule has anything to do with the alert."""

NO_SERVICE = "the alert's labels name no object of exactly one service"


@dataclass(eq=False)
class PageRuns:
    """Requests the runs of pages."""

    ledger: Ledger
    active_catalog: ActiveCatalog
    observed: ObservedState
    targets: Targets
    supervisor: RunSupervisor
    pages: RunbookPages

    async def verdict(self, signal: Signal, verdict: Verdict) -> tuple[Verdict, bool]:
        """
        Return the verdict on a signal that rules have ended with a `verdict`, and whether it is committed already.

        Raises LedgerUnavailable.
        """
        if verdict.reason not in RULES_LEFT or verdict.until is not None or not self.pages.concerns(signal):
            return verdict, False
        try:
            service = await self._service(signal)
            if isinstance(service, Verdict):
                return service, False
            page = self.pages.find(signal) if service is not None else None
        except PagePending as pending:
            return self._later(Reason.STALE, str(pending)), False
        except PageUnreadable as error:
            return replace(verdict, text=f"{verdict.text}, and its page is not read: {error}"), False
        except KubeError as error:
            return self._later(Reason.STALE, f"the alert's object could not be looked up: {error}"), False
        if service is None:
            return replace(verdict, text=f"{verdict.text}, and its page is not read: {NO_SERVICE}"), False
        return (verdict, False) if page is None else await self._request(signal, page, service)

    async def _service(self, signal: Signal) -> Service | Verdict | None:
        """
        Return the one service that an alert is about, a verdict that is asked again, or None where there is none, or several.

        Raises KubeError.
        """
        namespace, found = signal.labels.get("namespace"), list[Service]()
        services = self.active_catalog.catalog.services.values()
        for service in (each for each in services if namespace in (None, each.namespace)):
            objection = await self.targets.objection(signal.labels, service)
            if objection is not None and objection.provisional:
                return self._later(objection.reason, objection.text)
            found += [service] if objection is None else []
        named = [each for each in found if each.name == signal.labels.get("service")]
        return next(iter(found if len(found) == 1 else named), None)

    async def _request(self, signal: Signal, page: RunbookPage, service: Service) -> tuple[Verdict, bool]:
        last = await self._last(page, service)
        if last is not None:
            text = f"the page {page.address} was read for {service.name} at {last.opened:%H:%M:%S}"
            joined = Verdict(
                kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text=text, rule=RULE, incident=last.id
            )
            if last.state is IncidentState.NEEDS_OPERATOR:
                return joined, False
            # what a person has ended is no hand-over: its alerts would be evaluated again at once
            until = last.opened + AGAIN_AFTER
            return replace(joined, kind=VerdictKind.REFUSED, reason=Reason.COOLDOWN, incident="", until=until), False
        if self.supervisor.number_of(RunKind.PAGE) >= MOST_AT_ONCE:
            return self._later(Reason.BUDGET, f"{MOST_AT_ONCE} pages are being read"), False
        now, limits, runbook = self.observed.clock(), self.observed.limits, page.runbook
        rule = Rule(
            name=RULE,
            on=RuleSource.ALERT,
            service=service.name,
            runbook=runbook.name,
            mode=Mode.AUTO,
            digest=runbook.digest,
            place=runbook.place,
        )
        bound = plan(rule, service, page.catalog, now=now, alert=signal)
        context = self.observed.guard_context(rule, bound, (), approved=False)

        def decide(history: History) -> Verdict:
            verdict = check(context, history, limits, (paused, stale), now=now)
            return (
                replace(verdict, text=f"no rule matches; the page {page.address} is read for {service.name}")
                if verdict.kind is VerdictKind.STARTED
                else verdict
            )

        await self.active_catalog.keep(page.catalog)
        request = RunRequest.of(bound, rule, self.observed.mode, catalog=page.catalog.digest, starts="")
        request = replace(request, signal=signal, kind=RunKind.PAGE, locks=(), deadline=now + LIMIT)
        result = await self.ledger.incidents.request_run(request, decide, now)
        if result.run is not None and result.run.finished is None:
            self.supervisor.start(result.run)  # once: also one whose request's answer was lost
        return result.verdict, True

    async def _last(self, page: RunbookPage, service: Service) -> Incident | None:
        """Return the incident of a page on a service that an alert joins, None for none."""
        since = self.observed.clock() - AGAIN_AFTER
        known = await self.ledger.incidents.newest(limit=MOST_LOOKED_AT, service=service.name)
        of_page = (each for each in known if each.kind is RunKind.PAGE and each.runbook == page.runbook.name)
        return next((each for each in of_page if each.closed is not None and each.opened > since), None)

    def _later(self, reason: Reason, text: str) -> Verdict:
        until = self.observed.clock() + self.observed.limits.recheck_after
        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=RULE)
