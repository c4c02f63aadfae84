"""What must not grow: questions, memory, and what is kept."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="one question to Alertmanager tells of all silences",
        red_at="c04aa7b9a7",
        shows=("A19",),
        against=(Weakness.MANY_ALERTS,),
        edits=(
            Edit(
                file="pipeline/observed_state.py",
                old="            if alert not in quiet:\n",
                new="            if alert not in await self.silences.suppressed():\n",
            ),
        ),
        tests="unit/pipeline/test_the_observed_state.py",
        red=(
            "test_silences_are_asked_for_once_and_no_more_alerts_are_read_than_needed",
            "test_all_of_ten_thousand_alerts_being_silenced_takes_one_question_to_alertmanager",
        ),
    ),
    Sabotage(
        takes_out="an incident of ten thousand signals costs a change no more than one of ten",
        red_at="c04aa7b9a7",
        against=(Weakness.MANY_ALERTS,),
        edits=(
            Edit(
                file="ledger/triggers.py",
                old="query.where(inbox.c.id > after).limit(size)",
                new="query.where(inbox.c.id > after)",
            ),
        ),
        tests="contract/ledger/test_questions_do_not_grow.py",
        red=("test_an_incident_of_ten_thousand_signals_costs_a_change_no_more_than_one_of_ten",),
    ),
    Sabotage(
        takes_out="retention goes on until nothing old is left",
        red_at="c04aa7b9a7",
        shows=("D10",),
        against=(Weakness.ENDLESS_KEEPING,),
        edits=(
            Edit(
                file="app/retention_task.py",
                old=("            if batch < BATCH:\n                break\n"),
                new=("            if batch <= BATCH:\n                break\n"),
            ),
        ),
        tests="unit/app/test_forgetting.py",
        red=(
            "test_a_tick_takes_batches_until_nothing_is_left",
            "test_a_tick_is_bounded_and_the_defaults_keep_up_with_ten_million_rows_a_day",
        ),
    ),
    Sabotage(
        takes_out="where nobody is told an unsent notice holds nothing",
        red_at="c04aa7b9a7",
        shows=("D10",),
        against=(Weakness.ENDLESS_KEEPING,),
        edits=(
            Edit(
                file="app/retention_task.py",
                old="kept = RetentionTerms(notices=self.settings.notifications.url is not None, workloads=self.workloads())",
                new="kept = RetentionTerms(workloads=self.workloads())",
            ),
        ),
        tests="unit/app/test_forgetting.py",
        red=("test_notices_hold_their_incident_only_where_somebody_is_told",),
    ),
    Sabotage(
        takes_out="an alert that nobody repeats ends as stale where nobody polls",
        red_at="c04aa7b9a7",
        shows=("A17",),
        against=(Weakness.ENDLESS_KEEPING,),
        edits=(
            Edit(
                file="app/retention_task.py",
                old="        if self.settings.alertmanager.url is None:\n",
                new="        if self.settings.alertmanager.url is not None:\n",
            ),
        ),
        tests="unit/app/test_forgetting.py",
        red=("test_alerts_end_as_stale_only_where_nobody_asks_alertmanager",),
    ),
    Sabotage(
        takes_out="an idle inbox is hardly looked into",
        red_at="c04aa7b9a7",
        against=(Weakness.GROWING_QUESTION,),
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old="        return IDLE if due is None else min(max(due - self._observed.clock(), least), IDLE)\n",
                new="        return least if due is None else min(max(due - self._observed.clock(), least), IDLE)\n",
            ),
        ),
        tests="unit/pipeline/test_when_the_inbox_is_looked_into.py",
        red=("test_an_idle_inbox_is_hardly_looked_into",),
    ),
    Sabotage(
        takes_out="what never goes is set aside from the garbage collector",
        red_at="c04aa7b9a7",
        against=(Weakness.LONG_COLLECTION,),
        edits=(Edit(file="app/collector.py", old="    gc.freeze()\n", new=""),),
        tests="unit/app/test_the_garbage_collector.py",
        red=(
            "test_present_objects_are_frozen_and_collections_are_rare",
            "test_a_full_collection_looks_only_at_what_came_after",
            "test_a_frozen_object_that_has_gone_since_is_found_by_the_next_full_collection",
        ),
    ),
    Sabotage(
        takes_out="catalogs in memory are bounded",
        red_at="c04aa7b9a7",
        shows=("C15",),
        against=(Weakness.GROWING_MEMORY,),
        edits=(
            Edit(
                file="pipeline/active_catalog.py",
                old="        if len(self._known) > MOST_KNOWN:\n",
                new="        if len(self._known) > MOST_KNOWN * 1000:\n",
            ),
        ),
        tests="unit/pipeline/test_catalogs_in_memory.py",
        red=("test_a_catalog_a_reload_does_not_fill_the_memory",),
    ),
    Sabotage(
        takes_out="good revisions in memory are bounded",
        red_at="c04aa7b9a7",
        shows=("C15",),
        against=(Weakness.GROWING_MEMORY,),
        edits=(
            Edit(
                file="pipeline/observed_state.py",
                old="            if len(known) > MOST_GOOD:\n",
                new="            if len(known) > MOST_GOOD * 1000:\n",
            ),
        ),
        tests="unit/app/test_remembering_good_revisions.py",
        red=("test_the_last_good_revisions_of_a_workload_are_remembered",),
    ),
    Sabotage(
        takes_out="the values that are masked are bounded",
        red_at="c04aa7b9a7",
        shows=("C15",),
        against=(Weakness.GROWING_MEMORY,),
        edits=(
            Edit(
                file="telemetry/redaction.py",
                old="        if len(self._known) > MOST_SECRETS:",
                new="        if len(self._known) > MOST_SECRETS * 1000:",
            ),
        ),
        tests="unit/telemetry/test_redaction.py",
        red=("test_a_token_an_hour_does_not_fill_the_memory_and_the_newest_are_masked",),
    ),
    Sabotage(
        takes_out="no question of a daemon at work reads the whole inbox",
        red_at="c04aa7b9a7",
        against=(Weakness.GROWING_QUESTION,),
        edits=(
            Edit(
                file="ledger/signals.py",
                old="inbox.c.incident).where(inbox.c.id.in_(both))\n",
                new="inbox.c.incident).where(inbox.c.verdict.is_(None) | (inbox.c.until <= now))\n",
            ),
        ),
        tests="contract/ledger/test_questions_do_not_grow.py",
        red=(
            "test_a_question_takes_as_many_steps_in_a_ledger_with_a_past_as_in_one_that_is_new",
            "test_an_idle_daemon_asks_no_more_of_a_hundred_thousand_rows_than_of_none",
        ),
    ),
)
