"""A clock that is wrong."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a clock that is not the API server's is not trusted",
        red_at="c04aa7b9a7",
        shows=("C9",),
        against=(Weakness.WRONG_CLOCK,),
        edits=(
            Edit(
                file="decisions/clock_skew.py",
                old=('    if now.wall - latest > TOLERANCE:\n        return f"this'),
                new=('    if now.wall - latest > TOLERANCE * 1000:\n        return f"this'),
            ),
        ),
        tests="unit/kube/test_time_is_trusted_while_the_clocks_agree.py",
        red=(
            "test_a_wall_clock_that_is_wrong_at_the_start_is_not_trusted",
            "test_time_is_trusted_again_when_all_clocks_have_agreed_for_a_minute",
            "test_an_api_server_whose_clock_is_set_is_not_believed_for_longer_than_a_few_answers",
        ),
    ),
    Sabotage(
        takes_out="a jump of the clock is noticed",
        red_at="5b6aafbc40",
        shows=("C9",),
        against=(Weakness.WRONG_CLOCK,),
        edits=(
            Edit(
                file="decisions/clock_skew.py",
                old=('    if abs(step) <= TOLERANCE:\n        return ""\n    return f"this machine\'s clock was set'),
                new=(
                    "    if abs(step) <= TOLERANCE * 1000:\n"
                    '        return ""\n'
                    "    return f\"this machine's clock was set"
                ),
            ),
        ),
        tests="unit/kube/test_time_is_trusted_while_the_clocks_agree.py",
        red=(
            "test_time_never_goes_back_in_one_life_but_when_it_is_set_and_is_right_when_it_is_trusted",
            "test_a_jump_of_the_wall_clock_is_noticed_and_moves_no_time_of_this_life",
            "test_a_clock_that_is_set_right_after_a_wrong_start_is_counted_from_anew",
            "test_a_machine_that_slept_counts_on_from_when_it_woke",
        ),
    ),
    Sabotage(
        takes_out="no signal is judged while the clock is in doubt",
        red_at="c04aa7b9a7",
        shows=(
            "C9",
            "P6",
        ),
        against=(Weakness.WRONG_CLOCK,),
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old=("        if self._observed.clock_problem:\n            return\n"),
                new="",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=("test_no_signal_is_judged_while_the_clock_is_in_doubt",),
    ),
    Sabotage(
        takes_out="an alert that Alertmanager lists fires whatever its end",
        red_at="c04aa7b9a7",
        shows=("C9",),
        against=(Weakness.WRONG_CLOCK,),
        edits=(
            Edit(
                file="sources/alertmanager_api.py",
                old="AlertOrigin(SignalSource.POLL, now, timed=False)",
                new="AlertOrigin(SignalSource.POLL, now)",
            ),
        ),
        tests="unit/sources/test_polling_alertmanager.py",
        red=("test_an_alert_that_is_listed_fires_whatever_its_end",),
    ),
)
