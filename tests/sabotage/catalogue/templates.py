"""What a change of a pod template refuses, keeps and hides."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

_TESTS = "unit/actions/test_changes_of_a_template.py"

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a template that GitOps or an operator keeps is not changed by `kubectl set`",
        red_at="c04aa7b9a7",
        shows=("B21",),
        edits=(
            Edit(
                file="verbs/set_template.py",
                old="        preconditions.managed(asked, loaded.obj, loaded.context),\n",
                new="",
            ),
        ),
        tests=_TESTS,
        red=("test_the_template_of_somebody_else_is_not_changed",),
    ),
    Sabotage(
        takes_out="the undo of `kubectl set image` goes no further than what was changed",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/set_image.py",
                old="replace(command, images=former, ",
                new="replace(command, images=images, ",
            ),
        ),
        tests=_TESTS,
        red=(
            "test_an_image_is_set_and_the_former_one_is_its_undo",
            "test_a_way_back_goes_no_further_than_what_was_changed",
        ),
    ),
    Sabotage(
        takes_out="the undo of `kubectl set resources` leaves a template alone that somebody has changed since",
        red_at="c04aa7b9a7",
        shows=("E17",),
        edits=(
            Edit(
                file="verbs/set_resources.py",
                old="requests=requests, over=over))",
                new="requests=requests, over=over[:0]))",
            ),
        ),
        tests=_TESTS,
        red=("test_a_template_that_somebody_has_changed_since_is_not_taken_back",),
    ),
    Sabotage(
        takes_out="what a variable holds stands in no text of `kubectl set env`",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="verbs/set_env.py",
                old="name: MASK if value else value for",
                new="name: value or (MASK if value else value) for",
            ),
        ),
        tests=_TESTS,
        red=("test_the_value_of_a_variable_stands_in_no_text",),
    ),
    Sabotage(
        takes_out="a rollback compares the live workload with the one at its decision before its first write",
        red_at="8c596c3831",
        shows=("E17",),
        against=(Weakness.REPAIR_UNDONE,),
        edits=(
            Edit(
                file="runner/gate.py",
                old="        if decision is None or run.service not in views:\n",
                new="        if decision is None or run.service in views:\n",
            ),
        ),
        tests="unit/runner/test_a_repair_between_the_decision_and_the_rollback.py",
        red=(
            "test_no_changing_verb_writes_over_a_repair",
            "test_a_repair_while_the_process_is_away_stays",
            "test_a_fix_that_is_rolled_out_between_two_steps_of_a_rollback_stays",
            "test_a_person_gets_the_rollback_of_the_workload_that_they_were_shown",
        ),
    ),
    Sabotage(
        takes_out="a change whose mark is gone is not undone",
        red_at="8c596c3831",
        shows=("E17",),
        against=(Weakness.REPAIR_UNDONE,),
        edits=(
            Edit(
                file="verbs/rollout_undo.py",
                old="    if not ours and loaded.context.undoes:\n",
                new="    if not ours and not loaded.context:\n",
            ),
        ),
        tests="unit/actions/test_rollout.py",
        red=("test_an_undo_leaves_a_workload_alone_that_has_lost_the_mark_of_the_change",),
    ),
)
