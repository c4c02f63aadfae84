"""A rehearsal undoes all that it has changed: the example of docs/runbooks.md does, on a service that is well."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kintsugi.actions.effect_plan import record_without_undo
from kintsugi.catalog import CatalogErrors
from kintsugi.decisions.planner import parameters_for
from kintsugi.errors import Refused
from kintsugi.model.records import IncidentState, RunKind
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.rehearsal import RehearsalDriver
from tests.unit.catalog.test_guides import GUIDES, examples
from tests.unit.factories import catalog, pause, rule_text, run, runbook_text, service_text
from tests.unit.runner.bench import RunBench, cut_everywhere, ended_as
from tests.unit.virtual import play

pytestmark = pytest.mark.looptime

EXAMPLE = next(each for each in examples(GUIDES[1]) if "rehearsal: true" in each)
MORE = "kubectl scale deployment web --replicas=5 -n production"
BACK = "kubectl scale deployment web --replicas=3 -n production"


class Rehearsal(RunBench):
    """A rehearsal that passes unless the test makes something of it worse: the pods come at once, and go again."""

    def __init__(self, example: str = EXAMPLE) -> None:
        super().__init__("- {id: look, run: kubectl get pods}", documents=(example,))
        given = dict(parameters_for(self.catalog.runbooks["room-for-more-pods"], self.catalog.services["web"]))
        record = replace(run(), runbook="room-for-more-pods", rule="manual", kind=RunKind.REHEARSAL)
        self.begin(self.catalog, replace(record, parameters=given))
        self.actor.on_change = lambda text: self.observed.show(ready=5 if text == MORE else 3, desired=3, healthy=True)

    def show_found(self) -> None:
        self.observed.show(ready=3, desired=3, healthy=True)

    def make_driver(self, deps: RunnerDeps, journal: Journal) -> RehearsalDriver:
        return RehearsalDriver(**self.parts(deps, journal), gate=self.make_gate(deps, journal))

    def never_ready(self) -> None:
        """Let the cluster have no room."""
        self.actor.on_change = lambda _: None


def test_a_rehearsal_passes_and_undoes_its_changes() -> None:
    rehearsal = Rehearsal()
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.PASSED, [MORE, BACK])
    assert ended.reason == "every step has passed, and every change is undone"


def test_a_rehearsal_that_fails_undoes_its_changes() -> None:
    rehearsal = Rehearsal()
    rehearsal.never_ready()
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.FAILED, [MORE, BACK])
    assert ended.reason.startswith("the rehearsal did not pass: scale")


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (
            lambda it: setattr(it.ledger, "recovery", "inc-7"),
            "web has the open incident inc-7; a recovery has priority",
        ),
        (lambda it: it.ledger.pauses.append(pause()), "paused by ada"),
        (RunBench.request_rollback, "ended by ada"),
        (RunBench.abort, "aborted by ada: a deploy"),
    ],
    ids=["a recovery that begins", "a pause", "a rollback", "an abort"],
)
def test_a_rehearsal_gives_way_at_once_and_undoes_its_changes(act: Callable[[Rehearsal], None], why: str) -> None:
    rehearsal = Rehearsal()
    rehearsal.never_ready()
    rehearsal.at(60, lambda: act(rehearsal))
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.CANCELLED, [MORE, BACK])
    assert why in ended.reason


def test_a_freeze_leaves_the_undo_to_a_person_who_requests_it_afterwards() -> None:
    """P9: nothing is changed under a freeze, not even back."""
    rehearsal = Rehearsal()
    rehearsal.never_ready()
    rehearsal.pause(60, 600, freeze=True)
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.NEEDS_OPERATOR, [MORE])
    assert BACK in ended.reason, "the command that is left"
    rehearsal.ledger.pauses.clear()
    rehearsal.reopen()
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.CANCELLED, [MORE, BACK])
    assert "paused by ada" in ended.reason


def test_a_change_that_cannot_be_undone_is_left_to_a_person() -> None:
    rehearsal = Rehearsal()
    rehearsal.actor.will(f"prepare {BACK}", Refused("web has 7 replicas"))
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.NEEDS_OPERATOR, [MORE])
    assert "these changes could not be undone" in ended.reason
    assert "web has 7 replicas" in ended.reason
    assert BACK in ended.reason


def test_a_change_that_turns_out_to_have_no_undo_is_not_made() -> None:
    rehearsal = Rehearsal()
    rehearsal.actor.undo_of = lambda _: record_without_undo("a claim does not shrink")
    ended = play(rehearsal.drive())
    assert rehearsal.ended == (IncidentState.FAILED, [])
    assert "it could not be undone: a claim does not shrink" in ended.reason


def test_a_rehearsal_ends_the_same_wherever_the_process_ends() -> None:
    """P2, P3: nothing is made twice, and nothing is left."""
    assert cut_everywhere(Rehearsal, ended_as(IncidentState.PASSED, MORE, BACK)) > 10


@pytest.mark.parametrize(
    ("step", "more", "text"),
    [
        ("run: kubectl delete pod web-1", "", "kubectl delete has no undo: write the steps that undo it under `undo`"),
        ("run: kubectl create job a --from=cronjob/b", "", "kubectl create job has no undo"),
        ("run: kubectl cordon node-1, undo: keep", "", "leave out `undo: keep`"),
        ("runbook: mend", "", "a rehearsal runs no other runbook"),
        ("run: kubectl cordon node-1", "completeOnceBegun: true", "leave out `completeOnceBegun` or `rehearsal`"),
    ],
)
def test_a_runbook_that_could_not_undo_all_is_refused_as_a_rehearsal(step: str, more: str, text: str) -> None:
    steps = f"- {{id: group, parallel: [{{id: one, {step}}}]}}"
    written = runbook_text(steps, name="tried", more=f"rehearsal: true\n{more}")
    with pytest.raises(CatalogErrors, match=text):
        catalog(service_text(), runbook_text(), written)


@pytest.mark.parametrize(
    "documents",
    [
        (rule_text(more="runbook: tried"), runbook_text()),
        (service_text("api", runbook="tried"),),
        (runbook_text("- {id: child, runbook: tried}", name="calls"),),
    ],
    ids=["a rule", "a service", "a runbook"],
)
def test_only_a_person_starts_a_rehearsal(documents: tuple[str, ...]) -> None:
    tried = runbook_text("- {id: one, run: kubectl cordon node-1}", name="tried", more="rehearsal: true")
    with pytest.raises(
        CatalogErrors, match=r"tried is a rehearsal, which (only a person starts|no other runbook runs)"
    ):
        catalog(service_text(), tried, *documents)
