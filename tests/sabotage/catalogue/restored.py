"""What is restored or taken back: a backup is no program, and an undo is about the very same object."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a restored database is asked as its owner",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(
            Edit(
                file="runner/restoring.py",
                old="    if asked is None or (asked.database or asked.user) not in restored:\n",
                new="    if asked is None or asked.database not in restored or asked.user:\n",
            ),
        ),
        tests="unit/runner/test_restored_data_are_read_as_their_owner.py",
        red=(
            "test_a_question_to_what_was_restored_is_its_owner_s",
            "test_a_database_that_was_restored_into_a_server_of_its_own_is_asked_there",
        ),
    ),
    Sabotage(
        takes_out="what a dump says of its database is written anew and never run as it stands",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(
            Edit(
                file="worker/database.py",
                old='    rf"ALTER DATABASE (?P<name>{_NAME}) SET (?P<setting>\\"?[A-Za-z_][\\w.]*\\"?) TO (?P<values>{_TEXT}(?:, {_TEXT})*);"\n',
                new='    rf"ALTER DATABASE (?P<name>{_NAME}) SET (?P<setting>\\"?[A-Za-z_][\\w.]*\\"?) TO (?P<values>{_TEXT}(?:, {_TEXT})*);.*"\n',
            ),
        ),
        tests="unit/worker/test_the_dumped_database.py",
        red=("test_a_line_that_is_not_understood_whole_is_left_out_and_counted",),
    ),
    Sabotage(
        takes_out="what only a superuser can make is left out of a restore",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(Edit(file="worker/dump_ownership.py", old='_LEFT_OUT = ("EVENT TRIGGER - ", ', new="_LEFT_OUT = ("),),
        tests="unit/worker/test_what_belongs_to_whom.py",
        red=("test_entries_that_only_a_superuser_can_make_are_taken_out_of_the_list",),
    ),
    Sabotage(
        takes_out="a dump is restored as an owner without a superuser's rights",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(
            Edit(
                file="worker/restore.py",
                old="    await pg_restore(source, owner.as_owner(server, taken.database), taken.hidden, context.report)\n",
                new="    await pg_restore(source, server, taken.hidden, context.report)\n",
            ),
        ),
        tests="integration/test_restore_of_hostile_dumps.py",
        red=(
            "test_a_statement_in_a_dump_has_no_right_beyond_its_database",
            "test_a_trigger_that_fires_in_a_restore_has_no_right_beyond_its_database",
            "test_an_index_that_is_read_for_statistics_has_no_right_beyond_its_database",
            "test_the_entries_of_a_dump_about_its_database_are_read_and_not_run",
        ),
    ),
    Sabotage(
        takes_out="only a rollback of the very same workload makes an undo of ours needless",
        red_at="c04aa7b9a7",
        shows=("E13",),
        against=(Weakness.NAMESAKE,),
        edits=(
            Edit(
                file="actions/change_verb.py",
                old=(
                    "    return (first.resource, first.name, namespace_of(one))"
                    " == (second.resource, second.name, namespace_of(other))\n"
                ),
                new="    return first.name == second.name\n",
            ),
        ),
        tests="unit/runner/test_the_undo_of_our_own_restart.py",
        red=("test_a_rollback_step_deals_with_no_other_workload_of_the_name",),
    ),
    Sabotage(
        takes_out="a drill's checks are asked on the server of its Job",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(Edit(file="runner/restoring.py", old="    if where.job:\n", new='    if where.job == "none":\n'),),
        tests="unit/runner/test_restored_data_are_read_as_their_owner.py",
        red=("test_a_database_that_was_restored_into_a_server_of_its_own_is_asked_there",),
    ),
    Sabotage(
        takes_out="a drill's Job has no Secret of the live server",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(
            Edit(
                file="actions/worker_job_spec.py",
                old="        if self.brings_server:\n",
                new="        if self.brings_server and not self.context.env:\n",
            ),
        ),
        tests="unit/actions/test_making_a_worker_s_job.py",
        red=("test_a_drill_s_job_has_a_server_of_the_service_s_own_image_that_nobody_else_reaches",),
    ),
    Sabotage(
        takes_out="a drill restores into no live server",
        red_at="c04aa7b9a7",
        shows=("E9",),
        against=(Weakness.BACKUP_AS_PROGRAM,),
        edits=(
            Edit(
                file="decisions/drills/runbook.py",
                old="        elif not restored.on_own_server:\n",
                new="        elif not restored.host:\n",
            ),
        ),
        tests="unit/catalog/test_drills_are_checked.py",
        red=("test_a_runbook_of_drills_may_change_nothing_live",),
    ),
)
