"""What comes in and is read back: strangers' words, rows that cannot be read, alerts that fire again or are left out."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a canary starts nothing, whatever the rules match",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/matcher.py",
                old="        if is_canary(labels):\n            return ()\n",
                new="",
            ),
        ),
        tests="unit/matcher/test_a_canary_is_asked_of_no_rule.py",
        red=("test_no_rule_is_asked_about_a_canary",),
    ),
    Sabotage(
        takes_out="a map of a stranger that looks like a mark of the ledger stays a map",
        red_at="c04aa7b9a7",
        shows=("A14",),
        against=(Weakness.FOREIGN_MARKS,),
        edits=(
            Edit(
                file="ledger/texts.py",
                old="            return {_MAP: cleaned} if _is_marker_shaped(cleaned) else cleaned\n",
                new="            return cleaned\n",
            ),
        ),
        tests="unit/ledger/test_texts.py",
        red=("test_a_mapping_that_looks_like_a_mark_of_ours_comes_back",),
    ),
    Sabotage(
        takes_out="nothing in labels and annotations is a mark of the ledger",
        red_at="c04aa7b9a7",
        shows=("A14",),
        against=(Weakness.FOREIGN_MARKS,),
        edits=(Edit(file="ledger/texts.py", old="    labels = orjson.loads(text)\n", new="    labels = load(text)\n"),),
        tests="unit/ledger/test_texts.py",
        red=("test_labels_come_back_and_nothing_in_them_is_a_mark",),
    ),
    Sabotage(
        takes_out="a run whose steps cannot be read is closed all the same",
        red_at="c04aa7b9a7",
        shows=("D11",),
        against=(Weakness.UNREADABLE_RUN,),
        edits=(
            Edit(
                file="pipeline/run_supervisor.py",
                old="            return hand_over(reason, await self._ledger.runs.steps(run.id, strict=False))\n",
                new="            return hand_over(reason, await self._ledger.runs.steps(run.id))\n",
            ),
        ),
        tests="unit/pipeline/test_runs_under_way.py",
        red=(
            "test_a_run_whose_steps_cannot_be_read_is_closed_with_what_can_be",
            "test_a_run_of_whose_steps_nothing_can_be_told_is_closed_all_the_same",
        ),
    ),
    Sabotage(
        takes_out="an alert that fires again with its old beginning is opened ten minutes later",
        red_at="c04aa7b9a7",
        shows=("A22",),
        against=(Weakness.LOST_ALERT,),
        edits=(
            Edit(
                file="ledger/episodes.py",
                old="    due = [episode for episode in episodes if episode.refired is not None and episode.refired <= before]\n",
                new="    due = [episode for episode in episodes if episode.refired is not None and episode.ended is None]\n",
            ),
        ),
        tests="unit/ledger/test_episodes.py",
        red=(
            "test_an_alert_that_is_told_to_fire_last_is_open_in_the_end",
            "test_a_firing_delivery_after_the_end_opens_it_again_ten_minutes_later",
            "test_an_alert_that_fires_again_is_an_episode_of_its_own_that_names_the_one_before",
            "test_with_a_clock_that_is_behind_it_is_opened_again_where_the_last_end_is",
        ),
    ),
    Sabotage(
        takes_out="signals can be listed by their verdict",
        red_at="c04aa7b9a7",
        against=(Weakness.UNREAD_VERDICT,),
        edits=(
            Edit(
                file="ledger/signal_pages.py",
                old=(
                    "    if request.verdict is not None:\n        query = query.where(signals.c.verdict == request.verdict)\n"
                ),
                new="",
            ),
        ),
        tests="contract/ledger/test_looking_through_what_came_in.py",
        red=(
            "test_signals_are_found_by_verdict_and_by_reason",
            "test_each_filter_reads_an_index_and_sorts_nothing",
        ),
    ),
    Sabotage(
        takes_out="long labels are masked before the transaction begins",
        red_at="c04aa7b9a7",
        edits=(Edit(file="ledger/inbox.py", old="text_length(each) > LONG_TEXT]", new="text_length(each) > 1 << 30]"),),
        tests="unit/ledger/test_intake.py",
        red=("test_long_labels_are_masked_before_the_transaction_begins",),
    ),
    Sabotage(
        takes_out="a transaction of signals has so much text and no more",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="ledger/group_committer.py",
                old="            if size > MOST_TOGETHER or text > MOST_TEXT:\n",
                new="            if size > MOST_TOGETHER:\n",
            ),
        ),
        tests="unit/ledger/test_intake.py",
        red=("test_a_group_is_bounded_by_its_texts_too",),
    ),
    Sabotage(
        takes_out="a storm that is polled is committed in pieces",
        red_at="c04aa7b9a7",
        shows=("A4",),
        against=(Weakness.POLLED_STORM,),
        edits=(
            Edit(
                file="sources/poll.py",
                old="        for piece in in_pieces(found):\n",
                new="        for piece in [found]:\n",
            ),
        ),
        tests="unit/sources/test_polling_alertmanager.py",
        red=("test_a_storm_is_committed_in_pieces",),
    ),
    Sabotage(
        takes_out="dead letters can be read the newest first",
        red_at="c04aa7b9a7",
        shows=("A11",),
        against=(Weakness.UNREAD_VERDICT,),
        edits=(
            Edit(
                file="ledger/dead_letters.py",
                old="query.order_by(*(column.desc() for column in order)).limit(limit)",
                new="query.order_by(*order).limit(limit)",
            ),
        ),
        tests="contract/ledger/test_looking_through_what_came_in.py",
        red=("test_dead_letters_are_listed_and_read_whole",),
    ),
    Sabotage(
        takes_out="a dead letter that was understood is one no more",
        red_at="c04aa7b9a7",
        against=(Weakness.UNREAD_VERDICT,),
        edits=(
            Edit(
                file="ledger/dead_letters.py",
                old="            await connection.execute(delete(dead_letters).where(dead_letters.c.id == letter))\n",
                new='            await connection.execute(delete(dead_letters).where(dead_letters.c.id == letter, dead_letters.c.reason == ""))\n',
            ),
        ),
        tests="contract/ledger/test_looking_through_what_came_in.py",
        red=("test_a_dead_letter_that_was_understood_is_one_no_more",),
    ),
    Sabotage(
        takes_out="a signal that cannot be read is put aside and keeps no other from being judged",
        red_at="c04aa7b9a7",
        shows=("P9",),
        against=(Weakness.FOREIGN_MARKS,),
        edits=(
            Edit(
                file="ledger/signals.py",
                old="        due = [row for row in rows if unreadable(Signal, row) is None]\n",
                new="        due = list(rows)\n",
            ),
        ),
        tests="contract/ledger/test_rows_that_cannot_be_read.py",
        red=(
            "test_a_signal_that_cannot_be_read_becomes_a_dead_letter_and_the_others_are_judged",
            "test_an_incident_that_waits_for_what_cannot_be_read_is_handed_over",
        ),
    ),
    Sabotage(
        takes_out="alerts that were left out and that nobody can ask for are told",
        red_at="c04aa7b9a7",
        shows=("A7",),
        against=(Weakness.LOST_ALERT,),
        edits=(
            Edit(
                file="server/webhook.py",
                old="        if not polled and delivery.left_out is not None:\n",
                new="        if polled and delivery.left_out is not None:\n",
            ),
        ),
        tests="integration/test_intake_of_webhooks.py",
        red=(
            "test_a_truncated_delivery_makes_us_poll_for_the_rest",
            "test_alerts_that_nobody_can_ask_for_are_counted_and_told",
        ),
    ),
)
