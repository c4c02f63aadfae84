"""What strangers write: expressions, questions, addresses and answers, none of them run and none of them slow."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a regular expression that is large once it is written out is refused",
        red_at="c04aa7b9a7",
        shows=("E27",),
        against=(Weakness.SLOW_EXPRESSION,),
        edits=(
            Edit(
                file="regex.py",
                old="        if size > MOST_INSTRUCTIONS:\n",
                new="        if size > MOST_INSTRUCTIONS * 1000:\n",
            ),
        ),
        tests="unit/catalog/test_matchers.py",
        red=("test_a_regular_expression_that_is_large_once_its_repetitions_are_written_out_is_refused",),
    ),
    Sabotage(
        takes_out="a regular expression takes time like the text",
        red_at="c04aa7b9a7",
        shows=("E27",),
        against=(Weakness.SLOW_EXPRESSION,),
        edits=(
            Edit(
                file="regex.py",
                old=("        return self._compiled.search(_encoded(text)) is not None\n\n    def matches"),
                new=("        return re.search(self.pattern, text) is not None\n\n    def matches"),
            ),
            Edit(
                file="regex.py",
                old="        return self._compiled.fullmatch(_encoded(text)) is not None\n",
                new="        return re.fullmatch(self.pattern, text) is not None\n",
            ),
        ),
        tests="unit/matcher/test_a_regular_expression_takes_time_like_the_text.py",
        red=("test_a_label_cannot_make_a_rule_slow",),
    ),
    Sabotage(
        takes_out="a password exchange has a limit of rounds",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="clients/postgres_connection.py",
                old=("            if self._rounds > MOST_ROUNDS:\n                return str(self._rounds)\n"),
                new="",
            ),
        ),
        tests="unit/clients/test_a_password_exchange_ends.py",
        red=(
            "test_a_server_that_asks_again_and_again_is_hung_up_on_at_the_same_limit",
            "test_a_server_that_asks_for_as_much_as_the_limit_gets_one",
            "test_a_server_that_asks_for_more_than_the_limit_gets_no_proof",
        ),
    ),
    Sabotage(
        takes_out="a loop that has stood still is told by /healthz",
        red_at="c04aa7b9a7",
        shows=("E27",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="server/health.py",
                old="        alive = still <= self._standstill\n",
                new="        alive = still >= 0\n",
            ),
        ),
        tests="integration/test_health_port.py",
        red=("test_an_event_loop_that_stands_still_is_seen_while_it_does",),
    ),
    Sabotage(
        takes_out="others have their turn while alerts are evaluated",
        red_at="b5422d32ff",
        shows=("B16",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old="enumerate(await self._in_order(signals)):\n            if number % TOGETHER == 0:\n",
                new="enumerate(await self._in_order(signals)):\n            if number % TOGETHER > TOGETHER:\n",
            ),
        ),
        tests="unit/answers/test_a_large_body_does_not_block_the_loop.py",
        red=("test_others_have_their_turn_while_alerts_are_evaluated",),
    ),
    Sabotage(
        takes_out="a large foreign body is processed in a thread",
        red_at="b5422d32ff",
        shows=("B16",),
        against=(Weakness.HELD_LOOP,),
        edits=(Edit(file="offload.py", old="    if size <= most:\n", new="    if size <= most * 1000:\n"),),
        tests="unit/answers/test_a_large_body_does_not_block_the_loop.py",
        red=("test_a_large_body_does_not_block_the_loop",),
    ),
    Sabotage(
        takes_out="an object of thousands of parts is set aside",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="objects/parts.py",
                old="    most = item.MOST_PARTS\n",
                new="    most = item.MOST_PARTS * 1000\n",
            ),
        ),
        tests="unit/kube/test_events.py",
        red=("test_an_object_of_thousands_of_parts_is_set_aside",),
    ),
    Sabotage(
        takes_out="an object of tens of thousands of entries is not read",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="kube/client.py",
                old="    if not has_more(body, answer, MOST_IN_OBJECT):\n",
                new="    if not has_more(body, answer, MOST_IN_OBJECT * 1000):\n",
            ),
        ),
        tests="unit/kube/test_what_has_too_many_entries.py",
        red=(
            "test_an_object_has_only_so_many_entries",
            "test_the_outcome_of_a_change_that_is_answered_with_too_much_is_unknown",
        ),
    ),
    Sabotage(
        takes_out="a list of tens of thousands of entries is not taken in",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="kube/client.py",
                old="            if len(items) > MOST_OBJECTS or entries_of(items, MOST_IN_ANSWER) > MOST_IN_ANSWER:\n",
                new="            if len(items) > MOST_OBJECTS and entries_of(items, MOST_IN_ANSWER) > MOST_IN_ANSWER:\n",
            ),
        ),
        tests="unit/kube/test_what_has_too_many_entries.py",
        red=(
            "test_a_list_has_only_so_many_entries_on_however_many_pages",
            "test_a_list_has_only_so_many_objects",
        ),
    ),
    Sabotage(
        takes_out="how long the loop has stood still is counted from its last beat",
        red_at="c04aa7b9a7",
        shows=("E27",),
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="telemetry/loop_lag.py",
                old="        return max(0.0, now - self._last)\n",
                new="        return max(0.0, self._last - now)\n",
            ),
        ),
        tests="unit/telemetry/test_the_heartbeat_of_the_loop.py",
        red=(
            "test_a_loop_that_turns_beats_four_times_a_second_and_is_not_late",
            "test_a_moment_before_the_last_beat_is_no_negative_standstill",
            "test_another_thread_sees_that_the_loop_stands_still_and_that_it_turns_again",
            "test_how_long_a_loop_has_stood_still_is_told_from_its_last_beat",
            "test_work_that_takes_the_loop_is_observed_once_as_lag",
        ),
    ),
    Sabotage(
        takes_out="a quoted name of a function is a call like another",
        red_at="c04aa7b9a7",
        against=(Weakness.ACTING_QUESTION,),
        edits=(
            Edit(
                file="commands/sql.py",
                old=("    if not before or not before[-1].is_name:\n        return ()\n"),
                new=('    if not before or before[-1].kind != "name":\n        return ()\n'),
            ),
        ),
        tests="unit/commands/test_sql_that_only_looks.py",
        red=(
            "test_a_listed_function_may_be_called_however_it_is_spelled",
            "test_a_function_that_a_service_vouches_for_may_be_called_by_its_exact_name",
            "test_a_statement_that_does_more_or_could_be_read_in_two_ways_is_refused",
        ),
    ),
    Sabotage(
        takes_out="a function that is on no list is not called",
        red_at="c04aa7b9a7",
        shows=("E5",),
        against=(Weakness.ACTING_QUESTION,),
        edits=(
            Edit(
                file="commands/sql.py",
                old='        if token.is_mark("(") and (called := _called(tokens[:position])) and called not in functions:\n',
                new='        if token.is_mark("(") and (called := _called(tokens[:position])) and len(called) > 99:\n',
            ),
        ),
        tests="unit/commands/test_sql_that_only_looks.py",
        red=(
            "test_a_listed_function_may_be_called_however_it_is_spelled",
            "test_a_function_that_a_service_vouches_for_may_be_called_by_its_exact_name",
            "test_a_statement_that_does_more_or_could_be_read_in_two_ways_is_refused",
        ),
    ),
    Sabotage(
        takes_out="what is no part of a question is refused",
        red_at="c04aa7b9a7",
        against=(Weakness.ACTING_QUESTION,),
        edits=(
            Edit(
                file="commands/sql_tree.py",
                old="    if not isinstance(node, _PARTS) or isinstance(node, _NEVER):\n",
                new="    if isinstance(node, _NEVER):\n",
            ),
        ),
        tests="unit/commands/test_sql_that_only_looks.py",
        red=("test_a_statement_that_does_more_or_could_be_read_in_two_ways_is_refused",),
    ),
    Sabotage(
        takes_out="a question's names are looked up in pg_catalog alone, whatever the database says",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="clients/postgres.py",
                old='        "search_path": search_path or SEARCH_PATH,\n',
                new='        **({"search_path": search_path} if search_path else {}),\n',
            ),
        ),
        tests="contract/psql/test_what_an_owner_can_do.py",
        red=(
            "test_a_superuser_s_question_calls_no_function_of_the_owner_by_its_name",
            "test_a_name_outside_of_pg_catalog_needs_its_schema_and_the_error_says_so",
        ),
    ),
    Sabotage(
        takes_out="each name of our own question has its schema",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="actions/psql.py",
                old="coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(answer))",
                new="coalesce(json_agg(row_to_json(answer))",
            ),
        ),
        tests="contract/psql/test_what_an_owner_can_do.py",
        red=("test_our_own_call_is_the_server_s_also_where_the_owner_s_schema_is_looked_at",),
    ),
    Sabotage(
        takes_out="a question is asked in a read-only transaction",
        red_at="c04aa7b9a7",
        shows=("E5",),
        against=(Weakness.ACTING_QUESTION,),
        edits=(
            Edit(
                file="clients/postgres.py",
                old='READ_ONLY = "BEGIN TRANSACTION READ ONLY"\n',
                new='READ_ONLY = "BEGIN"\n',
            ),
            Edit(file="clients/postgres.py", old='        "default_transaction_read_only": "on",\n', new=""),
        ),
        tests="contract/psql/test_what_a_server_takes_for_a_call.py",
        red=("test_a_function_that_a_service_vouches_for_is_held_to_a_read_only_transaction",),
    ),
    Sabotage(
        takes_out="a change over HTTP keeps from the addresses of what is never changed",
        red_at="056b6c27ac",
        shows=("P8",),
        edits=(
            Edit(
                file="clients/addresses.py",
                old='(why := self._refusal(each) or denied_addresses.get(str(each), "")))',
                new="(why := self._refusal(each)))",
            ),
        ),
        tests="unit/clients/test_http.py",
        red=("test_a_change_is_not_sent_to_an_address_to_keep_from_whatever_leads_there",),
    ),
    Sabotage(
        takes_out="a question to others' tables as a superuser is warned of",
        red_at="1bc7ae36fd",
        shows=("P10",),
        edits=(
            Edit(
                file="catalog/lint.py",
                old="        if asked is None or asked.user != SUPERUSER:\n",
                new="        if asked is None or asked.user != SUPERUSER or asked.database:\n",
            ),
        ),
        tests="unit/catalog/test_questions_as_a_superuser.py",
        red=("test_a_superuser_s_question_to_what_somebody_else_owns_is_warned_of",),
    ),
    Sabotage(
        takes_out="an address that carries a forbidden one is refused",
        red_at="c04aa7b9a7",
        against=(Weakness.FORBIDDEN_ADDRESS,),
        edits=(
            Edit(
                file="clients/addresses.py",
                old="        spelled = (address, *_carried(address))\n",
                new="        spelled = (address,)\n",
            ),
        ),
        tests="unit/clients/test_addresses.py",
        red=(
            "test_an_address_that_no_service_has_is_refused",
            "test_an_address_that_leads_to_a_forbidden_one_by_a_tunnel_or_a_translator_is_refused",
        ),
    ),
    Sabotage(
        takes_out="the server of a look-up is held to the rule for addresses",
        red_at="c04aa7b9a7",
        shows=("E6",),
        against=(Weakness.FORBIDDEN_ADDRESS,),
        edits=(
            Edit(
                file="clients/dns.py",
                old="        (address, *_) = await self._rule.resolve(server, self._port, within=within)\n",
                new="        (address, *_) = await self._resolver.resolve(server, self._port, within=within)\n",
            ),
        ),
        tests="unit/clients/test_dns_and_tcp.py",
        red=("test_a_server_that_is_asked_is_held_to_the_rule_for_addresses",),
    ),
    Sabotage(
        takes_out="a redirect to another port or a weaker scheme is not followed",
        red_at="c04aa7b9a7",
        shows=("E6",),
        against=(Weakness.FORBIDDEN_ADDRESS,),
        edits=(
            Edit(
                file="clients/http.py",
                old="    if not _is_as_good(here, there):\n",
                new="    if here.host != there.host and not _is_as_good(here, there):\n",
            ),
        ),
        tests="unit/clients/test_http.py",
        red=("test_a_redirect_may_only_become_better", "test_a_redirect_to_another_port_is_never_followed"),
    ),
    Sabotage(
        takes_out="one semicolon at the end of a statement is as good as none",
        red_at="c04aa7b9a7",
        against=(Weakness.REFUSED_LOOK,),
        edits=(
            Edit(
                file="commands/sql.py",
                old='    if rest and rest[-1].is_mark(";"):\n',
                new='    if rest and rest[-1].is_mark(";") and len(rest) == 1:\n',
            ),
        ),
        tests="unit/commands/test_sql_that_only_looks.py",
        red=(
            "test_no_quoting_and_no_comment_lets_a_function_through_that_is_not_listed",
            "test_a_semicolon_at_the_end_is_as_good_as_none",
        ),
    ),
    Sabotage(
        takes_out="a compressed body is refused before it is unpacked",
        red_at="1e4ca382b4",
        against=(Weakness.HELD_LOOP,),
        edits=(
            Edit(
                file="server/bodies.py",
                old="if hdrs.CONTENT_ENCODING in request.headers:",
                new="if hdrs.CONTENT_ENCODING in request.headers and not request.path:",
            ),
        ),
        tests="integration/test_intake_of_webhooks.py",
        red=("test_a_compressed_delivery_is_refused_and_polled_for",),
    ),
)
