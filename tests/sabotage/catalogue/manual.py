"""What a person starts by hand: exactly what was shown, once, and held by every guard that no name overrules."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

_GUARDS = "unit/guards/test_a_start_by_hand.py"
_LEDGER = "contract/ledger/test_starting_by_hand.py"
_BINDING = "unit/pipeline/test_what_a_person_starts.py"

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a person overrules only what judges the remedy, each by its name",
        red_at="c04aa7b9a7",
        shows=("P6", "P7"),
        edits=(
            Edit(
                file="decisions/manual.py",
                old="        if each.override is None or each.override not in overrides:\n",
                new="        if not overrides:\n",
            ),
        ),
        tests=_GUARDS,
        red=(
            "test_each_guard_holds_for_a_person_unless_it_judges_the_remedy",
            "test_an_open_incident_is_named_also_one_without_a_run",
        ),
    ),
    Sabotage(
        takes_out="a service with an open incident is not started by hand",
        red_at="c04aa7b9a7",
        shows=("P2",),
        edits=(
            Edit(
                file="decisions/manual.py",
                old="        verdict = _occupied(inputs) if guard is active else guard(inputs)\n",
                new="        verdict = guard(inputs)\n",
            ),
        ),
        tests=_GUARDS,
        red=("test_an_open_incident_is_named_also_one_without_a_run",),
    ),
    Sabotage(
        takes_out="a rule rests after a start by hand of its runbook, and the other way round",
        red_at="c04aa7b9a7",
        shows=("E19",),
        edits=(
            Edit(
                file="decisions/guards.py",
                old="    if MANUAL in (run.rule, context.rule.name):\n        return run.runbook == runbook\n",
                new="    if not runbook:\n        return False\n",
            ),
        ),
        tests=_GUARDS,
        red=("test_a_run_by_hand_and_the_rules_of_its_runbook_rest_after_each_other",),
    ),
    Sabotage(
        takes_out="a wish that comes again starts nothing again",
        red_at="c04aa7b9a7",
        shows=("P2",),
        edits=(
            Edit(
                file="ledger/run_requests.py",
                old='        return known or await self.make(decide, own="")\n',
                new='        return await self.make(decide, own="") if known is None or known.incident else known\n',
            ),
        ),
        tests=_LEDGER,
        red=("test_a_start_by_hand_that_is_sent_twice_starts_one_run",),
    ),
    Sabotage(
        takes_out="who started a run, and why, is committed with it as the approval of its plan",
        red_at="c04aa7b9a7",
        shows=("E28",),
        edits=(
            Edit(
                file="ledger/run_requests.py",
                old="        if request.manual is not None:\n            await keep_start",
                new="        if request.manual is not None and request.slot is not None:\n            await keep_start",
            ),
        ),
        tests=_LEDGER,
        red=(
            "test_the_person_and_the_reason_are_kept_with_the_run_as_the_approval_of_its_plan",
            "test_a_start_by_hand_that_is_sent_twice_starts_one_run",
            "test_a_refused_start_by_hand_may_be_asked_for_again",
        ),
    ),
    Sabotage(
        takes_out="what is overruled belongs to the plan that a person confirms",
        red_at="c04aa7b9a7",
        shows=("E28",),
        against=(Weakness.UNSEEN_ROLLBACK,),
        edits=(
            Edit(
                file="pipeline/manual_binding.py",
                old="digest_of(bound.digest, *sorted(request.overrides))",
                new="digest_of(bound.digest)",
            ),
        ),
        tests=_BINDING,
        red=("test_the_digest_names_the_runbook_the_service_the_values_and_the_overrides",),
    ),
    Sabotage(
        takes_out="a run that a person started goes on when an alert that joined it ends or is silenced",
        red_at="c04aa7b9a7",
        shows=("E18",),
        edits=(Edit(file="runner/gate.py", old="rule == MANUAL and not", new='rule == "" and not'),),
        tests="unit/runner/test_the_gate_before_every_change.py",
        red=("test_a_run_that_a_person_started_goes_on_whatever_becomes_of_an_alert_that_has_joined_it",),
    ),
    Sabotage(
        takes_out="what a person overrules for all services counts for the runs that are started for it",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="pipeline/children.py",
                old="if name in overrides)",
                new="if name in overrides and runbook.service)",
            ),
        ),
        tests="unit/pipeline/test_child_runs.py",
        red=("test_a_child_of_what_a_person_started_is_that_persons_too",),
    ),
)
