"""What comes in and is read back: strangers' words, rows that cannot be read, alerts that fire again or are left out."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a map of a stranger that looks like a mark of the ledger stays a map",
        shows=("A14",),
        edits=(
            Edit(
                file="ledger/texts.py",
                old="            return {_MAP: cleaned} if _looks_like_a_mark(cleaned) else cleaned\n",
                new="            return cleaned\n",
            ),
        ),
        tests="unit/ledger/test_texts.py",
        red=("test_a_mapping_that_looks_like_a_mark_of_ours_comes_back",),
    ),
    Sabotage(
        takes_out="nothing in labels and annotations is a mark of the ledger",
        shows=("A14",),
        edits=(Edit(file="ledger/texts.py", old="    labels = orjson.loads(text)\n", new="    labels = load(text)\n"),),
        tests="unit/ledger/test_texts.py",
        red=("test_labels_come_back_and_nothing_in_them_is_a_mark",),
    ),
    Sabotage(
        takes_out="a run whose steps cannot be read is closed all the same",
        shows=("D11",),
        edits=(
            Edit(
                file="pipeline/roster.py",
                old="            return hand_over(reason, await self._ledger.steps(run.id, strict=False))\n",
                new="            return hand_over(reason, await self._ledger.steps(run.id))\n",
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
        shows=("A22",),
        edits=(
            Edit(
                file="ledger/episodes.py",
                old="    due = [episode for episode in episodes if episode.refired is not None and episode.refired <= before]\n",
                new="    due = [episode for episode in episodes if episode.refired is not None and episode.ended is None]\n",
            ),
        ),
        tests="unit/ledger/test_episodes.py",
        red=(
            "test_what_is_told_to_fire_last_is_open_in_the_end",
            "test_a_firing_delivery_after_the_end_opens_it_again_ten_minutes_later",
            "test_what_fires_again_is_an_episode_of_its_own_that_names_the_one_before",
            "test_with_a_clock_that_is_behind_it_is_opened_again_where_the_last_end_is",
        ),
    ),
    Sabotage(
        takes_out="signals can be listed by their verdict",
        edits=(
            Edit(
                file="ledger/listing.py",
                old=(
                    "    if wish.verdict is not None:\n        query = query.where(signals.c.verdict == wish.verdict)\n"
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
        takes_out="a storm that is polled is committed in pieces",
        shows=("A4",),
        edits=(
            Edit(
                file="sources/poll.py",
                old="            await self._inbox.accept(found[start : start + _TOGETHER], now)\n",
                new="            await self._inbox.accept(found[start:] if start == 0 else (), now)\n",
            ),
        ),
        tests="unit/sources/test_polling_alertmanager.py",
        red=("test_a_storm_is_committed_in_pieces_and_read_beside_the_event_loop",),
    ),
)
