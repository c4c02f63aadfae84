"""What is never written down, and what a badly replaced file does not end."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a manifest is kept without what tools repeat of it in clear",
        red_at="b885d92878",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="actions/good_templates.py",
                old="for key, each in annotations.items() if key not in _ADDED}",
                new="for key, each in annotations.items()}",
            ),
        ),
        tests="unit/actions/test_good_templates.py",
        red=("test_a_workload_is_kept_as_a_person_would_write_it",),
    ),
    Sabotage(
        takes_out="labels that rules judge by are kept as they are",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="app/unmasked.py",
                old="SECRETS.spare(names, matched_labels(catalog))",
                new="SECRETS.spare(names)",
            ),
        ),
        tests="unit/app/test_names_that_are_a_secret_s_value.py",
        red=("test_a_verdict_is_the_same_with_and_without_a_secret_of_any_word",),
    ),
    Sabotage(
        takes_out="no matcher holds of a label that was masked",
        red_at="c04aa7b9a7",
        edits=(Edit(file="decisions/matcher.py", old="if MASK in had or not holds", new="if not holds"),),
        tests="unit/app/test_names_that_are_a_secret_s_value.py",
        red=("test_a_label_that_was_masked_before_a_rule_asked_for_it_matches_nothing",),
    ),
    Sabotage(
        takes_out="secrets of a step are masked before it is stored",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(file="ledger/runs.py", old="        step = await without_secrets(step)\n", new=""),
            Edit(file="ledger/runs.py", old="from kintsugi.ledger.masking import without_secrets\n", new=""),
        ),
        tests="contract/ledger/test_no_secret_is_stored.py",
        red=("test_no_canary_is_in_any_table_whichever_way_it_came",),
    ),
    Sabotage(
        takes_out="an answer of the API holds no secret",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="server/answers.py",
                old="    return _ENCODER.encode(SECRETS.value(plain))\n",
                new="    return _ENCODER.encode(plain)\n",
            ),
        ),
        tests="unit/server/test_answers_hold_no_secret.py",
        red=("test_an_answer_masks_what_stands_in_a_secrets_place_or_has_its_shape",),
    ),
    Sabotage(
        takes_out="a Kubernetes Event holds no secret",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="app/events.py",
                old='            "message": line(SECRETS.text(message), LONGEST),\n',
                new='            "message": line(message, LONGEST),\n',
            ),
        ),
        tests="unit/app/test_events_hold_no_secret.py",
        red=("test_an_event_masks_what_the_reason_of_a_run_quotes",),
    ),
    Sabotage(
        takes_out="a value in a secret's place is masked whatever it looks like",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="telemetry/redaction.py",
                old=(
                    '        if key in ("env", "httpHeaders"):\n'
                    "            return self.value(environment(item, MASK))\n"
                ),
                new="",
            ),
            Edit(file="telemetry/redaction.py", old="    environment,\n", new=""),
        ),
        tests="unit/telemetry/test_redaction.py",
        red=(
            "test_no_secret_is_left_in_any_of_its_places",
            "test_a_value_in_a_secrets_place_is_masked_whatever_it_looks_like_and_all_else_stays",
        ),
    ),
    Sabotage(
        takes_out="a notice holds no secret",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="notifier.py",
                old='            "text": lines(map(line, SECRETS.text(notice.text).split("\\n"))),\n',
                new='            "text": lines(map(line, notice.text.split("\\n"))),\n',
            ),
        ),
        tests="integration/test_notifier.py",
        red=("test_no_secret_goes_out_in_a_notice",),
    ),
    Sabotage(
        takes_out="a text for people that nobody has made of several lines is kept as one",
        red_at="d1d357b",
        against=(Weakness.FORGED_NOTICE,),
        edits=(Edit(file="ledger/texts.py", old="else line(clean(masked))", new="else clean(masked)"),),
        tests="contract/ledger/test_storing_any_text.py",
        red=("test_a_reason_has_line_breaks_of_our_own_alone",),
    ),
    Sabotage(
        takes_out="a release whose name Helm refuses is none",
        red_at="1e4ca382b4",
        against=(Weakness.FORGED_NOTICE,),
        edits=(
            Edit(
                file="objects/owners.py",
                old='name if len(name) <= _LONGEST_RELEASE and SUBDOMAIN.fullmatch(name) else ""',
                new="name",
            ),
        ),
        tests="unit/objects/test_names_of_helm_releases.py",
        red=("test_a_name_that_helm_refuses_is_no_release",),
    ),
    Sabotage(
        takes_out="a command that holds a secret is told as one",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="actions/secret_checks.py",
                old="    yield from _differences(document, SECRETS.value(document))\n",
                new="    yield from _differences(document, document)\n",
            ),
        ),
        tests="unit/runner/test_no_command_writes_a_secret_down.py",
        red=("test_a_command_with_a_secret_or_with_what_was_masked_stops_the_run_before_anything_is_written",),
    ),
    Sabotage(
        takes_out="a value of a log is masked before it is cut",
        red_at="c04aa7b9a7",
        against=(Weakness.CUT_SECRET,),
        edits=(
            Edit(
                file="telemetry/log_config.py",
                old="            return str(value)[:_LONGEST_MASKED]\n",
                new="            return _cut(str(value))\n",
            ),
        ),
        tests="unit/telemetry/test_logs.py",
        red=("test_no_part_of_a_secret_is_left_where_a_value_is_cut",),
    ),
    Sabotage(
        takes_out="a token file that holds no token ends no notifier",
        red_at="c04aa7b9a7",
        shows=("E24",),
        against=(Weakness.BAD_FILE,),
        edits=(
            Edit(
                file="tokens.py",
                old=('    if not _TOKEN.fullmatch(token):\n        raise ProbeFailed(f"{file}'),
                new=('    if not token:\n        raise ProbeFailed(f"{file}'),
            ),
        ),
        tests="integration/test_notifier.py",
        red=("test_a_token_file_that_holds_no_token_keeps_a_notice_waiting_and_ends_nothing",),
    ),
    Sabotage(
        takes_out="what is kept encrypted is decrypted only for the step and the object that it belongs to",
        red_at="c04aa7b9a7",
        against=(Weakness.SECRET_WRITTEN_DOWN,),
        edits=(
            Edit(
                file="encryption.py",
                old="encrypt(nonce, text.encode(), bound_to.encode())",
                new='encrypt(nonce, text.encode(), b"")',
            ),
            Edit(file="encryption.py", old="content[_NONCE:], bound_to.encode())", new='content[_NONCE:], b"")'),
        ),
        tests="unit/test_encryption.py",
        red=("test_a_text_is_decrypted_only_where_it_belongs_and_never_encrypted_to_the_same_twice",),
    ),
    Sabotage(
        takes_out="a file of keys that holds no good one is refused at the start",
        red_at="c04aa7b9a7",
        edits=(
            Edit(file="settings/load.py", old="    wrong += check_keys(settings)\n", new="    check_keys(settings)\n"),
        ),
        tests="unit/settings/test_wrong_settings.py",
        red=("test_a_file_of_keys_that_is_no_good_is_refused_at_start",),
    ),
    Sabotage(
        takes_out="what was masked or cut when it was stored is not used after a restart",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="runner/context.py",
                old="        return Lost(paths=frozenset(paths), mark=MASK, why=WHY_LOST) if paths else NOTHING_LOST\n",
                new="        return NOTHING_LOST\n",
            ),
        ),
        tests="unit/runner/test_what_the_ledger_did_not_keep.py",
        red=(
            "test_a_result_that_was_too_large_to_be_kept_is_not_taken_for_no_answer",
            "test_the_answer_to_a_change_is_not_judged_by_its_masked_text",
            "test_a_step_that_needs_a_lost_field_is_not_done_and_says_which_step_and_field_was_lost",
        ),
    ),
)
