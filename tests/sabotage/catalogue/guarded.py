"""What the guards count of the past."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="the budget counts as far back as its window reaches",
        shows=("P7",),
        edits=(
            Edit(
                file="ledger/history.py",
                old="await read_disruptions(connection, namespace, now - windows.changes)",
                new="await read_disruptions(connection, namespace, now - Windows().changes)",
            ),
        ),
        tests="contract/ledger/test_what_an_incident_goes_on_for.py",
        red=("test_a_budget_is_counted_as_far_back_as_its_window",),
    ),
    Sabotage(
        takes_out="runs that changed nothing neither lengthen a streak nor end it",
        edits=(
            Edit(
                file="guards.py",
                old="SAYS_NOTHING = frozenset({IncidentState.CANCELLED, IncidentState.NO_ACTION})",
                new="SAYS_NOTHING: frozenset[IncidentState] = frozenset()",
            ),
        ),
        tests="unit/guards/test_cooldowns_and_failures.py",
        red=(
            "test_a_run_that_changed_nothing_neither_lengthens_a_streak_nor_ends_it",
            "test_a_streak_is_the_same_with_and_without_the_runs_that_changed_nothing",
            "test_a_run_that_changed_nothing_rests_as_long_as_the_rule_says_and_no_longer",
            "test_a_service_stays_handed_over_whatever_came_to_nothing_since",
        ),
    ),
    Sabotage(
        takes_out="a trouble that returns after every recovery is ineffective",
        shows=("E34",),
        edits=(
            Edit(
                file="guards.py",
                old="    if found is None or question.now >= found.until or facts.approved:\n",
                new="    if found is None or found.times > 0:\n",
            ),
        ),
        tests="unit/guards/test_a_trouble_that_returns.py",
        red=(
            "test_nothing_is_started_until_the_rest_is_over",
            "test_what_a_person_has_approved_for_all_that_is_started",
            "test_the_figures_are_those_of_the_limits",
        ),
    ),
    Sabotage(
        takes_out="a person is told once of a trouble that returns",
        shows=("E34",),
        edits=(
            Edit(
                file="ledger/claims.py",
                old="        if told is None:\n",
                new="        if told is None or told.closed is not None:\n",
            ),
        ),
        tests="contract/ledger/test_troubles_that_return.py",
        red=("test_a_person_is_told_once_and_not_for_each_signal",),
    ),
)
