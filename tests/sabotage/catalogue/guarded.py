"""What the guards count of the past."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a ledger's StatefulSet is known by the pods behind its Service",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="model/essentials.py",
                old="            return (kind, name) in known.workloads\n",
                new="            return (name, kind) in known.workloads\n",
            ),
        ),
        tests="unit/pipeline/test_what_nothing_is_done_to.py",
        red=("test_a_ledger_that_an_operator_leads_to_by_role_protects_its_stateful_set",),
    ),
    Sabotage(
        takes_out="a ledger behind a Service without a selector is known by its endpoints",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="model/essentials.py",
                old="pod.status.pod_ip in addresses)\n",
                new="pod.status.pod_ip in addresses - addresses)\n",
            ),
        ),
        tests="unit/pipeline/test_what_nothing_is_done_to.py",
        red=("test_a_ledger_that_an_operator_leads_to_by_role_protects_its_stateful_set",),
    ),
    Sabotage(
        takes_out="the budget counts as far back as its window reaches",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.SHORT_MEMORY,),
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
        red_at="c04aa7b9a7",
        against=(Weakness.BROKEN_STREAK,),
        edits=(
            Edit(
                file="model/history.py",
                old="INCONCLUSIVE_OUTCOMES = frozenset({IncidentState.CANCELLED, IncidentState.NO_ACTION})",
                new="INCONCLUSIVE_OUTCOMES: frozenset[IncidentState] = frozenset()",
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
        red_at="c04aa7b9a7",
        shows=("E34",),
        against=(Weakness.RETURNING_TROUBLE,),
        edits=(
            Edit(
                file="decisions/guards.py",
                old="    if found is None or inputs.now >= found.until or context.approved:\n",
                new="    if found is None or found.times > 0:\n",
            ),
        ),
        tests="unit/guards/test_a_trouble_that_returns.py",
        red=(
            "test_no_run_is_started_until_the_rest_is_over",
            "test_a_run_that_a_person_has_approved_for_all_that_is_started",
            "test_the_figures_are_those_of_the_limits",
        ),
    ),
    Sabotage(
        takes_out="a person is told once of a trouble that returns",
        red_at="c04aa7b9a7",
        shows=("E34",),
        against=(Weakness.RETURNING_TROUBLE,),
        edits=(
            Edit(
                file="ledger/run_requests.py",
                old="        if incident is None:\n",
                new="        if incident is None or incident.closed is not None:\n",
            ),
        ),
        tests="contract/ledger/test_troubles_that_return.py",
        red=("test_a_person_is_told_once_and_not_for_each_signal",),
    ),
    Sabotage(
        takes_out="signs that the observer is at fault stop every change, with few services as well",
        red_at="5b6aafbc40",
        shows=("E32",),
        against=(Weakness.SMALL_CLUSTER,),
        edits=(
            Edit(
                file="decisions/breaker.py",
                old="    found = signs(observer, share)\n",
                new="    found = signs(observer, share) if observer.seen > MANY else ()\n",
            ),
        ),
        tests="unit/guards/test_the_breaker.py",
        red=(
            "test_to_be_blind_is_a_doubt_as_any_sign_is",
            "test_more_than_half_of_the_nodes_without_a_word_opens_the_breaker",
            "test_each_sign_opens_the_breaker_and_is_named",
        ),
    ),
    Sabotage(
        takes_out="what an upstream explains waits for its run beyond the limit of a hold",
        red_at="5b6aafbc40",
        edits=(
            Edit(
                file="decisions/priorities.py",
                old="    if now >= limit and not (hold.explained and (hold.recovering or _stays_away(hold))):\n",
                new="    if now >= limit:\n",
            ),
        ),
        tests="unit/priorities/test_cause_comes_first.py",
        red=(
            "test_an_upstream_that_was_scaled_to_none_is_named_and_waited_for_until_it_has_replicas_again",
            "test_a_new_run_of_an_upstream_counts_more_than_one_that_ended_in_vain",
            "test_an_upstream_that_is_given_up_lets_no_service_past_another_that_is_being_recovered",
            "test_a_trouble_that_began_after_its_upstream_and_says_nothing_of_its_own_is_explained",
        ),
    ),
    Sabotage(
        takes_out="a hold does not end by a blink of the upstream",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/priorities.py",
                old="    settled = view.serving_since is None or now - view.serving_since >= inputs.timings.steady\n",
                new="    settled = True\n",
            ),
        ),
        tests="unit/priorities/test_cause_comes_first.py",
        red=("test_an_upstream_that_blinks_holds_until_it_has_served_for_a_while",),
    ),
    Sabotage(
        takes_out="what another rule has just changed is not taken back by the next one",
        red_at="c04aa7b9a7",
        shows=("E21",),
        against=(Weakness.OPPOSED_RULES,),
        edits=(Edit(file="decisions/admission.py", old="    opposing,\n    overspent,\n", new="    overspent,\n"),),
        tests="unit/runner/test_the_gate_before_every_change.py",
        red=("test_a_change_that_another_rule_has_just_made_the_other_way_is_not_taken_back_but_handed_over",),
    ),
    Sabotage(
        takes_out="a doubt in what is seen that lasts is told by an incident of its own",
        red_at="c04aa7b9a7",
        shows=("E31",),
        against=(Weakness.SILENT_DOUBT,),
        edits=(
            Edit(
                file="decisions/breaker.py",
                old="    return ObserverNotice.OPEN if problem else ObserverNotice.CLOSE\n",
                new="    return ObserverNotice.NONE if problem else ObserverNotice.CLOSE\n",
            ),
        ),
        tests="unit/pipeline/test_the_incident_about_the_observer.py",
        red=(
            "test_a_doubt_that_lasts_is_one_incident_which_ends_with_it",
            "test_an_observer_that_comes_and_goes_is_one_incident",
        ),
    ),
    Sabotage(
        takes_out="a node that reports again counts as silent until its pods have had the time of a start",
        red_at="c04aa7b9a7",
        shows=("E32",),
        against=(Weakness.RETURNED_NODE,),
        edits=(
            Edit(
                file="pipeline/observed_state.py",
                old="            nodes_back=len(back),\n",
                new="            nodes_back=0,\n",
            ),
        ),
        tests="unit/pipeline/test_the_observed_state.py",
        red=("test_a_node_that_reports_again_counts_as_silent_until_its_pods_have_had_the_time_of_a_start",),
    ),
    Sabotage(
        takes_out="another problem ends the verification of a run",
        red_at="01658afe31",
        shows=("P11", "E36"),
        against=(Weakness.SILENT_OUTAGE,),
        edits=(
            Edit(
                file="drivers/driver.py",
                old="        if outage is None:\n            return None\n",
                new="        if outage is not None:\n            return None\n",
            ),
        ),
        tests="unit/runner/test_another_problem_while_a_run_verifies.py",
        red=(
            "test_a_service_that_breaks_again_ends_the_verification_with_what_the_run_had_reached",
            "test_another_template_under_a_service_that_was_not_well_yet_ends_the_run_too",
        ),
    ),
    Sabotage(
        takes_out="a cooldown holds back no other fault",
        red_at="01658afe31",
        shows=("P11",),
        against=(Weakness.SILENT_OUTAGE,),
        edits=(
            Edit(
                file="decisions/guards.py",
                old="    return fault is not None and not (last.has_template(fault) and last.has_cause(fault))\n",
                new="    return fault is not None and not (last.has_template(fault) or last.has_cause(fault))\n",
            ),
        ),
        tests="unit/guards/test_another_fault_of_a_service.py",
        red=("test_a_cooldown_holds_back_no_other_fault",),
    ),
    Sabotage(
        takes_out="runs before a person resumed a service hold it back no more",
        red_at="db2cdd6eb0",
        edits=(
            Edit(
                file="decisions/guards.py",
                old="    return list(takewhile(lambda run: run.resumed is None, past))\n",
                new="    return list(takewhile(lambda run: run.finished is not None, past))\n",
            ),
        ),
        tests="unit/guards/test_another_fault_of_a_service.py",
        red=("test_runs_before_a_person_resumed_the_service_hold_it_back_no_more",),
    ),
    Sabotage(
        takes_out="a template that somebody rolled out during the last steps is not the run's",
        red_at="01658afe31",
        shows=("E37",),
        against=(Weakness.REPAIR_UNDONE,),
        edits=(
            Edit(
                file="drivers/run_watchdog.py",
                old="            if seen is not None and await self._is_as_left():\n",
                new="            if seen is not None or await self._is_as_left():\n",
            ),
        ),
        tests="unit/runner/test_the_deadline.py",
        red=("test_a_template_that_somebody_has_rolled_out_during_the_last_steps_is_not_ours",),
    ),
)
