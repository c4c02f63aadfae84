"""Faults that tests of a stand-in once seemed to show."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a command whose exit status is missing has not succeeded",
        red_at="c04aa7b9a7",
        shows=(
            "E3",
            "P3",
        ),
        against=(Weakness.UNEARNED_EVIDENCE,),
        edits=(
            Edit(
                file="kube/execution.py",
                old=(
                    "        raise unanswered(\n"
                    "            request, f\"no exit code: {status.message[:LONGEST_MESSAGE] or body[:200].decode(errors='replace')}\"\n"
                    "        )\n"
                ),
                new="        return 0\n",
            ),
        ),
        tests="integration/test_kube_exec.py",
        red=("test_a_command_whose_end_was_not_seen_is_unknown",),
    ),
    Sabotage(
        takes_out="a notice that did not arrive is sent again",
        red_at="c04aa7b9a7",
        shows=("E24",),
        against=(Weakness.UNEARNED_EVIDENCE,),
        edits=(
            Edit(
                file="notifier.py",
                old="        await self._outbox.notice_failed(notice.id, due)\n",
                new="        await self._outbox.notice_sent(notice.id)\n",
            ),
        ),
        tests="integration/test_notifier.py",
        red=(
            "test_a_notice_that_is_not_taken_is_tried_again_later",
            "test_a_receiver_that_hangs_holds_no_notice_for_long",
            "test_a_token_file_that_holds_no_token_keeps_a_notice_waiting_and_ends_nothing",
        ),
    ),
    Sabotage(
        takes_out="a look by HTTP has a deadline",
        red_at="c04aa7b9a7",
        shows=("C7",),
        against=(Weakness.UNEARNED_EVIDENCE,),
        edits=(
            Edit(
                file="clients/http.py",
                old="            async with asyncio.timeout(within.total_seconds()):\n",
                new="            async with asyncio.timeout(None):\n",
            ),
        ),
        tests="unit/clients/test_http.py",
        red=(
            "test_no_answer_in_time_is_a_failed_probe",
            "test_a_change_that_reached_nobody_is_told_apart_from_one_whose_answer_is_lost",
        ),
    ),
    Sabotage(
        takes_out="a missing right is told in the server's words",
        red_at="c04aa7b9a7",
        shows=("B11",),
        against=(Weakness.UNEARNED_EVIDENCE,),
        edits=(
            Edit(
                file="kube/api_errors.py",
                old='    message = status.message[:LONGEST_MESSAGE] or f"{request}: HTTP {http_status} {_excerpt(body)}".rstrip()\n',
                new='    message = f"{request}: HTTP {http_status}"\n',
            ),
        ),
        tests="integration/test_kube_client.py",
        red=(
            "test_a_delete_of_a_pod_that_is_another_by_now_is_a_conflict",
            "test_a_patch_that_the_server_finds_invalid_says_why",
            "test_a_change_that_was_shed_is_not_sent_again_by_the_client",
            "test_a_read_gives_up_at_its_deadline_with_the_last_reason",
            "test_a_refusal_is_told_in_the_servers_words",
            "test_the_log_of_a_missing_container_is_refused_in_the_servers_words",
        ),
    ),
    Sabotage(
        takes_out="an alert that is gone from Alertmanager's list is over",
        red_at="c04aa7b9a7",
        shows=("A17",),
        against=(Weakness.UNEARNED_EVIDENCE,),
        edits=(
            Edit(
                file="sources/poll.py",
                old="        return [_resolved(believed[key], now) for key in sorted(missing) if self._missed[key] >= MISSES]\n",
                new="        return [_resolved(believed[key], now) for key in sorted(missing) if self._missed[key] > MISSES * 1000]\n",
            ),
        ),
        tests="unit/sources/test_polling_alertmanager.py",
        red=(
            "test_an_alert_that_is_gone_is_over_after_two_polls",
            "test_an_alertmanager_that_has_just_started_is_not_believed_that_all_is_over",
        ),
    ),
)
