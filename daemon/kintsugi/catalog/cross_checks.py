"""The checks that need all documents together: rings, deadlines, parameters, runbooks that lack a service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from kintsugi.catalog.build import digest_of
from kintsugi.catalog.call_graph import RunbookCall, calls_of, reachable, steps_of, unfit_for_all
from kintsugi.catalog.document_builder import DocumentBuilder
from kintsugi.catalog.problems import did_you_mean
from kintsugi.catalog.schema import RuleShape, RunbookShape, ServiceShape
from kintsugi.decisions.drills import DATABASE, INTEGRITY, retargeted, unfit_steps
from kintsugi.durations import format_duration
from kintsugi.model.restores import DRILL
from kintsugi.model.rules import Rule
from kintsugi.model.runbooks import Runbook, Value
from kintsugi.model.services import STACK, Service
from kintsugi.scope.parameters import known_type, read_value

MOST_NESTED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossChecks:
    """All documents that could be made, with the drafts that their problems go to."""

    services: Mapping[str, Service]
    rules: Mapping[str, Rule]
    runbooks: Mapping[str, Runbook]
    service_drafts: Mapping[str, DocumentBuilder[ServiceShape]]
    rule_drafts: Mapping[str, DocumentBuilder[RuleShape]]
    runbook_drafts: Mapping[str, DocumentBuilder[RunbookShape]]

    def check(self) -> None:
        """Note what is wrong between documents."""
        self._check_dependencies()
        self._check_names()
        if self._check_calls():
            for name, runbook in self.runbooks.items():
                for call in calls_of(runbook):
                    self._check_deadline(name, call)
            self._check_depth()
        self._check_rules_about_all()
        self._check_rehearsals()
        self._check_drills()

    def _check_dependencies(self) -> None:
        graph = {
            name: [need for need in each.depends_on if need in self.services] for name, each in self.services.items()
        }
        if ring := _ring(graph):
            draft = self.service_drafts[ring[0]]
            draft.note(("spec", "dependsOn"), f"services depend on each other: {' -> '.join(ring)}", key=True)

    def _check_names(self) -> None:
        if STACK in self.services:
            draft = self.service_drafts[STACK]
            draft.note(("metadata", "name"), f"{STACK!r} is the name of all services together: choose another one")

    def _check_calls(self) -> bool:
        graph = {
            name: [call.runbook for call in calls_of(each) if call.runbook in self.runbooks]
            for name, each in self.runbooks.items()
        }
        if ring := _ring(graph):
            step = next(call.step for call in calls_of(self.runbooks[ring[0]]) if call.runbook == ring[1])
            draft = self.runbook_drafts[ring[0]]
            draft.note(
                (*draft.path_of(step.place), "runbook"), f"runbooks run each other in a cycle: {' -> '.join(ring)}"
            )
        return not ring

    def _check_deadline(self, name: str, call: RunbookCall) -> None:
        child = self.runbooks.get(call.runbook)
        if child is None or child.rollback.after <= self.runbooks[name].rollback.after:
            return
        draft = self.runbook_drafts[name]
        draft.note(
            (*draft.path_of(call.step.place), "runbook"),
            f"{call.runbook} may take {format_duration(child.rollback.after)}, longer than this runbook's own "
            f"rollback.after of {format_duration(self.runbooks[name].rollback.after)}: raise this one, or lower that one",
        )

    def _check_depth(self) -> None:
        for name in self.runbooks:
            if self._depth(name) > MOST_NESTED:
                self.runbook_drafts[name].note(
                    ("spec", "steps"), f"it runs runbooks that are nested more than {MOST_NESTED} deep"
                )

    def _depth(self, name: str) -> int:
        runbook = self.runbooks.get(name)
        return 1 + max((self._depth(call.runbook) for call in calls_of(runbook)), default=0) if runbook else 0

    def _check_rules_about_all(self) -> None:
        for rule in self.rules.values():
            runbook = self.runbooks.get(rule.runbook)
            if rule.service or runbook is None or runbook.service:
                continue
            if (found := unfit_for_all(runbook, self.runbooks)) is not None:
                step, why = found
                self.rule_drafts[rule.name].note(
                    ("spec", "runbook"),
                    f"a rule about all services gives its runbook no service, but step {step.id!r} of {runbook.name} {why} "
                    f"(in {step.place})",
                )

    def _check_rehearsals(self) -> None:
        """Refuse a rehearsal where something is to be recovered: it undoes all that it has done."""
        rehearsals = {name for name, each in self.runbooks.items() if each.rehearsal}
        for drafts in (self.rule_drafts.values(), self.service_drafts.values()):
            for draft in drafts:
                if (name := draft.shape.spec.runbook) in rehearsals:
                    text = f"{name} is a rehearsal, which only a person starts: kintsugi recover {name}"
                    draft.note(("spec", "runbook"), text)
        for caller, runbook in self.runbooks.items():
            calling = self.runbook_drafts[caller]
            for call in calls_of(runbook):
                if call.runbook in rehearsals:
                    text = f"{call.runbook} is a rehearsal, which no other runbook runs"
                    calling.note(calling.path_of(call.step.place), text)

    def _check_drills(self) -> None:
        """Hold what is run as a drill to it: by its runbook nothing live is touched, and its service can be asked."""
        drilled = {each.name: each.drill.runbook for each in self.services.values() if each.drill is not None}
        for name in sorted(set(drilled.values()) & set(self.runbooks)):
            draft = self.runbook_drafts[name]
            for step, what in unfit_steps(self.runbooks[name]):
                draft.note(draft.path_of(step.place), what)
        for service, name in drilled.items():
            if name in self.runbooks:
                self._check_drilled(self.services[service], self.runbooks[name])

    def _check_drilled(self, service: Service, runbook: Runbook) -> None:
        draft, path = self.service_drafts[service.name], ("spec", "drill")
        database = draft.shape.spec.parameters.get(DATABASE)
        checks = service.checks.get(INTEGRITY, ())
        if runbook.service not in {"", service.name}:
            draft.note(path, f"{runbook.name} is about {runbook.service}, not about {service.name}", key=True)
        if DATABASE not in {each.name for each in runbook.parameters}:
            draft.note(
                path,
                f"{runbook.name} has no parameter {DATABASE}: a drill needs the name of the restored database",
                key=True,
            )
        elif not retargeted(checks, str(database), DRILL)[0]:
            draft.note(
                path,
                f"a drill runs the service's checks {INTEGRITY!r} on the restored database: write one that asks {database}, "
                f"as in kubectl exec -it {service.workload} -- psql -U ROLE -d {database} -c 'SELECT …'",
                key=True,
            )

    def bound_services(self) -> dict[str, Service]:
        """Return the services with the values of their runbooks' parameters, read by the parameters' types."""
        pairs = reachable(self.services, self.rules.values(), self.runbooks)
        return {
            name: self._bound(each, {book for service, book in pairs if service == name})
            for name, each in self.services.items()
        }

    def _bound(self, service: Service, names: set[str]) -> Service:
        """Read a service's `parameters`; a value that no runbook of the service takes is a mistake, and so is one that is missing."""
        draft = self.service_drafts[service.name]
        takes = {each.name: each for name in sorted(names) for each in self.runbooks[name].parameters}
        values: dict[str, Value] = {}
        for name, value in draft.shape.spec.parameters.items():
            path = ("spec", "parameters", name)
            if name not in takes and any("params" in self.runbook_drafts[each].unclear for each in names):
                continue
            if name not in takes:
                draft.note(
                    path,
                    f"no runbook of this service takes a parameter {name!r}",
                    suggestion=did_you_mean(name, takes),
                    key=True,
                )
            elif known_type(takes[name].type):
                try:
                    values[name] = read_value(takes[name].type, value, draft.known.durations)
                except ValueError as error:
                    draft.note(path, f"{error} ({name} is of type {takes[name].type})")
        self._check_missing(draft, names)
        return replace(service, parameters=values)

    def _check_missing(self, draft: DocumentBuilder[ServiceShape], names: Iterable[str]) -> None:
        given = draft.shape.spec.parameters
        for name in sorted(names):
            takes = self.runbook_drafts[name].shape.spec.parameters
            missing = [
                each
                for each, shape in takes.items()
                if shape.default is None
                and not shape.source
                and each not in given
                and f"params.{each}" not in self.runbook_drafts[name].unclear
            ]
            if missing:
                draft.note(
                    ("spec", "parameters"),
                    f"runbook {name} needs {', '.join(missing)}: give a value under `parameters`, or the runbook a default",
                    key=True,
                )

    def sealed_runbooks(self) -> dict[str, Runbook]:
        """Return the runbooks with digests that change when a child or a list of patterns changes, too; there are no rings then."""
        return {name: replace(each, digest=self._digest(each)) for name, each in self.runbooks.items()}

    def _digest(self, runbook: Runbook) -> str:
        children = sorted({call.runbook for call in calls_of(runbook)} & set(self.runbooks))
        scans = sorted({step.scan.digest for step, _ in steps_of(runbook) if step.scan is not None})
        parts = [*(self._digest(self.runbooks[name]) for name in children), *scans]
        return digest_of(runbook.digest, *parts)


def _ring(graph: Mapping[str, list[str]]) -> list[str]:
    """Return the names of a ring, the first one again at its end; empty where there is no ring."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = list(reversed(error.args[1]))
        return ring
    return []
