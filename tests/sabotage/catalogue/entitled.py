"""Who may what: whose token it is, what was shown to a person, and what an alert may be about."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a comment in a file of tokens is no token",
        red_at="c04aa7b9a7",
        shows=("A9",),
        against=(Weakness.WEAK_TOKEN,),
        edits=(
            Edit(
                file="tokens.py",
                old='        if stripped and not stripped.startswith(b"#"):\n',
                new="        if stripped:\n",
            ),
        ),
        tests="unit/server/test_files_of_tokens.py",
        red=("test_a_file_without_a_token_is_wrong", "test_comments_and_blank_lines_say_nothing"),
    ),
    Sabotage(
        takes_out="a token that can be guessed is refused",
        red_at="c04aa7b9a7",
        against=(Weakness.WEAK_TOKEN,),
        edits=(Edit(file="tokens.py", old="    if len(one.token) < SHORTEST:\n", new="    if not one.token:\n"),),
        tests="unit/server/test_files_of_tokens.py",
        red=(
            "test_a_line_that_cannot_be_right_is_told_without_its_token",
            "test_settings_tell_all_that_is_wrong_in_all_files_and_beside_them",
            "test_the_server_takes_no_file_in_which_anything_is_wrong",
        ),
    ),
    Sabotage(
        takes_out="an empty token is refused",
        red_at="c04aa7b9a7",
        against=(Weakness.WEAK_TOKEN,),
        edits=(
            Edit(
                file="tokens.py",
                old=(
                    "    if not one.token:\n"
                    '        return f"the token is empty: write {_MADE}"\n'
                    "    if not _TOKEN.fullmatch(one.token):\n"
                ),
                new="    if one.token and not _TOKEN.fullmatch(one.token):\n",
            ),
            Edit(
                file="tokens.py",
                old="    if len(one.token) < SHORTEST:\n",
                new="    if 0 < len(one.token) < SHORTEST:\n",
            ),
        ),
        tests="unit/server/test_files_of_tokens.py",
        red=(
            "test_a_file_that_becomes_wrong_keeps_all_that_it_had_until_it_is_right",
            "test_a_line_that_cannot_be_right_is_told_without_its_token",
            "test_settings_tell_all_that_is_wrong_in_all_files_and_beside_them",
            "test_the_server_takes_no_file_in_which_anything_is_wrong",
        ),
    ),
    Sabotage(
        takes_out="a file of tokens in which anything is wrong keeps the tokens that it had",
        red_at="c04aa7b9a7",
        shows=("A9",),
        against=(Weakness.WEAK_TOKEN,),
        edits=(
            Edit(
                file="server/authentication.py",
                old=("        if read.problems:\n            return read.problems\n"),
                new=("        if read.problems and path not in self._tokens:\n            return read.problems\n"),
            ),
        ),
        tests="unit/server/test_files_of_tokens.py",
        red=("test_a_file_that_becomes_wrong_keeps_all_that_it_had_until_it_is_right",),
    ),
    Sabotage(
        takes_out="a token of nobody cannot borrow the name of somebody who has one",
        red_at="c04aa7b9a7",
        against=(Weakness.WEAK_TOKEN,),
        edits=(
            Edit(
                file="server/authentication.py",
                old="taken=frozenset() if name else self._operators.names)",
                new="taken=frozenset())",
            ),
        ),
        tests="unit/server/test_authentication.py",
        red=("test_a_request_is_who_its_one_token_says",),
    ),
    Sabotage(
        takes_out="a rollback is begun only as it was shown",
        red_at="c04aa7b9a7",
        against=(Weakness.UNSEEN_ROLLBACK,),
        edits=(
            Edit(
                file="pipeline/operator_service.py",
                old="        if confirmed != shown.digest:\n",
                new="        if not shown.digest:\n",
            ),
        ),
        tests="unit/pipeline/test_confirming_a_rollback.py",
        red=(
            "test_another_change_that_would_be_taken_back_is_shown_first",
            "test_another_run_of_the_incident_is_shown_first",
            "test_more_that_would_be_lost_is_shown_first",
        ),
    ),
    Sabotage(
        takes_out="an answered question is approved again for no other plan",
        red_at="c04aa7b9a7",
        against=(Weakness.UNSEEN_ROLLBACK,),
        edits=(
            Edit(
                file="ledger/approvals.py",
                old="            _check(asked.plan == plan, incident,",
                new="            _check(asked.answered is not None or asked.plan == plan, incident,",
            ),
        ),
        tests="contract/ledger/test_hearing_people.py",
        red=("test_an_answer_to_another_plan_is_refused_though_there_is_an_answer",),
    ),
    Sabotage(
        takes_out="a request that sends something is a change",
        red_at="c04aa7b9a7",
        shows=("P8",),
        against=(Weakness.UNNOTICED_CHANGE,),
        edits=(
            Edit(
                file="verbs/curl.py",
                old='        return self.method not in ("GET", "HEAD") or self.body is not None\n',
                new='        return self.method == "CONNECT"\n',
            ),
        ),
        tests="unit/catalog/test_requests_that_change.py",
        red=(
            "test_a_request_is_sent_once",
            "test_a_runbook_says_how_a_request_is_taken_back",
            "test_a_service_s_checks_send_nothing",
            "test_a_request_that_takes_back_is_not_taken_back_itself",
        ),
    ),
    Sabotage(
        takes_out="a forged fingerprint is none of the watch's keys",
        red_at="c04aa7b9a7",
        shows=("P9",),
        against=(Weakness.FORGED_FINGERPRINT,),
        edits=(
            Edit(
                file="sources/alerts.py",
                old="    return alert.fingerprint if _FINGERPRINT.fullmatch(alert.fingerprint) else fingerprint(alert.labels)\n",
                new="    return alert.fingerprint or fingerprint(alert.labels)\n",
            ),
        ),
        tests="contract/ledger/test_forged_fingerprints.py",
        red=(
            "test_a_forged_end_does_not_end_what_the_watch_sees",
            "test_a_forged_fingerprint_does_not_swallow_a_signal_of_the_watch",
        ),
    ),
    Sabotage(
        takes_out="an alert without a namespace starts nothing",
        red_at="c04aa7b9a7",
        shows=("A20",),
        against=(Weakness.NAMELESS_ALERT,),
        edits=(
            Edit(
                file="pipeline/targets.py",
                old='        if not labels.get("namespace") and not anywhere:\n',
                new='        if not labels.get("namespace") and not anywhere and "alertname" not in labels:\n',
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=(
            "test_a_label_that_a_rule_asks_for_names_no_service",
            "test_an_alert_without_a_namespace_starts_nothing_and_the_reason_names_the_label",
        ),
    ),
    Sabotage(
        takes_out="what no object can be called is never asked for",
        red_at="1e4ca382b4",
        shows=("A20",),
        against=(Weakness.NAMELESS_ALERT,),
        edits=(
            Edit(
                file="pipeline/targets.py",
                old="        if not word or not namespace or not (LABEL.fullmatch(namespace) and SUBDOMAIN.fullmatch(labels[word])):\n",
                new="        if not word or not namespace:\n",
            ),
            Edit(
                file="pipeline/targets.py",
                old="        if not LABEL.fullmatch(namespace) or (word and not SUBDOMAIN.fullmatch(labels[word])):\n",
                new="        if not LABEL.fullmatch(namespace):\n",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=("test_a_name_that_no_object_can_have_is_never_asked_for",),
    ),
    Sabotage(
        takes_out="few objects of alerts are asked for at once",
        red_at="c04aa7b9a7",
        against=(Weakness.NAMELESS_ALERT,),
        edits=(
            Edit(
                file="pipeline/lookups.py",
                old="        limit = asyncio.Semaphore(AT_ONCE)\n",
                new="        limit = asyncio.Semaphore(AT_ONCE * 1000)\n",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=("test_signals_that_need_no_look_up_are_judged_before_others_and_few_are_asked_at_once",),
    ),
    Sabotage(
        takes_out="an object of an alert that is not answered for in time holds up no other signal",
        red_at="c04aa7b9a7",
        shows=("P9",),
        against=(Weakness.NAMELESS_ALERT,),
        edits=(
            Edit(
                file="pipeline/lookups.py",
                old="                await asyncio.wait(asking, timeout=LOOKUP_TIMEOUT.total_seconds())\n",
                new="                await asyncio.wait(asking, timeout=LOOKUP_TIMEOUT.total_seconds() * 1000)\n",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=("test_a_look_up_that_is_not_answered_in_time_is_judged_again_and_holds_up_no_other",),
    ),
    Sabotage(
        takes_out="a rule that no alert could ever start is warned of",
        red_at="c04aa7b9a7",
        against=(Weakness.NAMELESS_ALERT,),
        edits=(
            Edit(
                file="catalog/alert_rules.py",
                old="    if namespace and namespace != service.namespace:\n",
                new="    if namespace and not service.namespace:\n",
            ),
        ),
        tests="unit/catalog/test_rules_that_never_start.py",
        red=("test_a_rule_that_could_never_start_is_warned_of",),
    ),
    Sabotage(
        takes_out="the cluster's own namespaces stay protected whatever is added",
        red_at="c04aa7b9a7",
        shows=("E23",),
        against=(Weakness.UNPROTECTED_NAMESPACE,),
        edits=(
            Edit(
                file="settings/settings.py",
                old="        return CLUSTER_NAMESPACES | self.guards.protected_namespaces | {self.namespace}\n",
                new="        return (self.guards.protected_namespaces or CLUSTER_NAMESPACES) | {self.namespace}\n",
            ),
        ),
        tests="unit/settings/test_what_is_always_protected.py",
        red=("test_a_setting_adds_to_the_cluster_s_own_and_takes_none_out",),
    ),
    Sabotage(
        takes_out="the namespace of the service account is protected",
        red_at="c04aa7b9a7",
        shows=("E23",),
        against=(Weakness.UNPROTECTED_NAMESPACE,),
        edits=(
            Edit(
                file="settings/settings.py",
                old="    if not file.is_file() or (elsewhere and given):\n",
                new="    if not file.is_file() or elsewhere or not given:\n",
            ),
        ),
        tests="unit/settings/test_what_is_always_protected.py",
        red=(
            "test_a_file_that_names_no_namespace_is_no_reason_to_protect_none",
            "test_the_namespace_of_the_service_account_is_protected_though_nobody_names_it",
            "test_with_a_kubeconfig_the_settings_say_where_we_are",
        ),
    ),
    Sabotage(
        takes_out="the cluster's DNS is changed by nobody",
        red_at="c04aa7b9a7",
        shows=("E23",),
        against=(Weakness.UNPROTECTED_NAMESPACE,),
        edits=(
            Edit(
                file="model/essentials.py",
                old="    if named or not nameservers",
                new="    if named and not nameservers",
            ),
        ),
        tests="unit/pipeline/test_what_nothing_is_done_to.py",
        red=(
            "test_no_run_starts_for_a_service_of_the_catalog_that_is_the_dns",
            "test_the_dns_is_off_limits_in_whatever_namespace_it_runs",
        ),
    ),
    Sabotage(
        takes_out="the database of our own ledger is changed by nobody",
        red_at="0cac7737b6",
        shows=("E23", "P8"),
        against=(Weakness.UNPROTECTED_NAMESPACE,),
        edits=(
            Edit(
                file="model/essentials.py",
                old=('        return LEDGER\n    return ""\n'),
                new=('        return ""\n    return ""\n'),
            ),
        ),
        tests="unit/pipeline/test_what_nothing_is_done_to.py",
        red=(
            "test_no_request_that_changes_goes_to_the_addresses_of_what_is_never_changed",
            "test_a_ledger_that_an_operator_leads_to_by_role_protects_its_stateful_set",
            "test_the_ledger_s_pods_workload_claims_and_volumes_are_off_limits_to_every_runbook",
        ),
    ),
    Sabotage(
        takes_out="a claim is a service's by the pods that its workload has made",
        red_at="1e4ca382b4",
        against=(Weakness.BORROWED_LABEL,),
        edits=(
            Edit(
                file="views/service_views.py",
                old="(pod for pod in pods if (by := controller_of(pod)) is not None and by.uid in makers)",
                new="iter(pods)",
            ),
        ),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_a_claim_belongs_to_a_service_by_what_mounts_it_and_not_by_its_labels",),
    ),
    Sabotage(
        takes_out="a question to a workload is answered by pods that it has made",
        red_at="6866b170d7",
        against=(Weakness.BORROWED_LABEL,),
        edits=(
            Edit(
                file="actions/pods.py",
                old="[each for each in found if _controller(each) in by]",
                new="[each for each in found if by]",
            ),
        ),
        tests="unit/actions/test_asking_in_containers.py",
        red=(
            "test_a_stranger_s_pod_with_the_labels_of_the_database_does_not_answer_for_it",
            "test_a_stranger_s_replica_set_with_the_labels_of_a_deployment_does_not_answer_for_it",
        ),
    ),
    Sabotage(
        takes_out="a condition ends when its object is no longer the service's",
        red_at="6866b170d7",
        against=(Weakness.BORROWED_LABEL,),
        edits=(
            Edit(
                file="sources/cluster.py",
                old="elif self._has_left(rule, item, members):",
                new="elif not item.metadata.uid:",
            ),
        ),
        tests="unit/sources/test_pods_are_looked_at_as_they_are.py",
        red=(
            "test_a_pod_that_was_taken_out_of_its_service_is_unhealthy_no_more",
            "test_a_condition_whose_object_has_nothing_to_do_with_the_service_any_more_ends",
        ),
    ),
    Sabotage(
        takes_out="a refusal by a cache that is behind has an end",
        red_at="1e4ca382b4",
        against=(Weakness.LATE_CACHE,),
        edits=(
            Edit(
                file="pipeline/targets.py",
                old="is_behind = namespace == service.namespace and (seen is not found or bool(self._services.stale_reason))",
                new="is_behind = False",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=(
            "test_a_pod_that_no_cache_has_is_judged_as_the_api_has_it",
            "test_a_claim_that_the_api_has_and_no_view_is_judged_again",
            "test_a_refusal_by_a_stale_cache_is_provisional",
        ),
    ),
)
