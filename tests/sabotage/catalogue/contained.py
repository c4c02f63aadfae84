"""One broken answer, object or look, kept from the others or ending the daemon."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="that the ledger is away, or another leads, is nobody's own mistake",
        red_at="c04aa7b9a7",
        shows=(
            "C4",
            "C8",
        ),
        against=(Weakness.BROKEN_ANSWER,),
        edits=(
            Edit(
                file="telemetry/containment.py",
                old="    return isinstance(error, _PASSED_ON)\n",
                new="    return False\n",
            ),
        ),
        tests="unit/telemetry/test_containment.py",
        red=("test_an_error_that_is_not_about_one_item_passes",),
    ),
    Sabotage(
        takes_out="an answer of psql that is no list of rows is no answer",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.BROKEN_ANSWER,),
        edits=(
            Edit(
                file="actions/psql.py",
                old=(
                    "    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):\n"
                    '        return f"is not a list of rows: {text[:200]!r}"\n'
                    "    if len(rows) > MOST_ROWS:\n"
                ),
                new="    if isinstance(rows, list) and len(rows) > MOST_ROWS:\n",
            ),
        ),
        tests="unit/answers/test_answers_to_probes.py",
        red=("test_any_output_as_psql_is_read_or_refused_by_name",),
    ),
    Sabotage(
        takes_out="a check that fails in an unknown way ends no other",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.BROKEN_ANSWER,),
        edits=(
            Edit(
                file="sources/checks.py",
                old=(
                    "                with self._containment.around(FailureScope.RULE, rule.name):\n"
                    "                    await self.ask(rule)\n"
                ),
                new="                await self.ask(rule)\n",
            ),
        ),
        tests="unit/sources/test_checks_on_an_interval.py",
        red=("test_a_look_that_fails_in_an_unknown_way_ends_no_other_check",),
    ),
    Sabotage(
        takes_out="a revision that is no number counts for none",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.BROKEN_ANSWER,),
        edits=(
            Edit(
                file="views/view_builder.py",
                old="    return int(annotation) if _NUMBER.fullmatch(annotation) else 0\n",
                new="    return int(annotation) if annotation else 0\n",
            ),
        ),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_a_revision_that_is_no_number_counts_for_none",),
    ),
    Sabotage(
        takes_out="the claims of millions of replicas are not listed",
        red_at="77f544f6c2",
        against=(Weakness.BROKEN_ANSWER,),
        edits=(
            Edit(
                file="views/pvcs.py",
                old="        return cls(mounted=mounted, prefixes=prefixes, replicas=workload.spec.replicas or from_zero or 1)",
                new=(
                    '        listed = {f"{each}-{ordinal}" for each in prefixes for ordinal in range(workload.spec.replicas or from_zero or 1)}\n'
                    "        return cls(mounted=mounted | listed)"
                ),
            ),
        ),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_the_claims_of_two_million_replicas_are_not_listed",),
    ),
    Sabotage(
        takes_out="an incident that cannot be tended keeps no other from it",
        red_at="c04aa7b9a7",
        shows=("B16",),
        against=(Weakness.HALF_ALIVE,),
        edits=(
            Edit(
                file="pipeline/pending_incidents.py",
                old=(
                    "                with self._containment.around(FailureScope.INCIDENT, incident.id):\n"
                    "                    await self._tend(incident.id)\n"
                ),
                new="                await self._tend(incident.id)\n",
            ),
        ),
        tests="unit/pipeline/test_incidents_that_wait.py",
        red=("test_an_incident_that_cannot_be_tended_keeps_no_other_from_it",),
    ),
    Sabotage(
        takes_out="a look of the clock that goes wrong ends the daemon",
        red_at="c04aa7b9a7",
        shows=("C8",),
        against=(Weakness.HALF_ALIVE,),
        edits=(
            Edit(
                file="app/clock.py",
                old="                self._failed(name, error)\n",
                new='                log.error("a look goes on", look=name, error=str(error))\n',
            ),
        ),
        tests="unit/app/test_nothing_goes_on_by_halves.py",
        red=("test_a_look_that_fails_unexpectedly_ends_the_daemon_with_its_reason",),
    ),
)
