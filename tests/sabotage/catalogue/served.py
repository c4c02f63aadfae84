"""The ports: room for everybody, and nothing said to nobody."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="no peer holds more than half of the connections",
        red_at="c04aa7b9a7",
        shows=("A15",),
        against=(Weakness.TAKEN_PORT,),
        edits=(
            Edit(
                file="server/connections.py",
                old="        self._share = max(1, most // 2)\n",
                new="        self._share = most\n",
            ),
        ),
        tests="integration/test_health_port.py",
        red=("test_a_peer_that_takes_all_connections_keeps_neither_a_webhook_nor_the_kubelet_out",),
    ),
    Sabotage(
        takes_out="an idle connection gives up its place when one is short",
        red_at="c04aa7b9a7",
        against=(Weakness.TAKEN_PORT,),
        edits=(
            Edit(
                file="server/connections.py",
                old="            if idle is None:\n                return False\n",
                new="            if idle is None or idle.handler is not None:\n                return False\n",
            ),
        ),
        tests="integration/test_health_port.py",
        red=(
            "test_two_addresses_that_ask_and_stay_keep_no_probe_of_the_kubelet_out",
            "test_idle_connections_that_take_all_places_keep_no_webhook_out",
            "test_a_request_under_way_keeps_its_connection",
        ),
    ),
    Sabotage(
        takes_out="strangers' idle connections go before those of who has shown a token",
        red_at="c04aa7b9a7",
        against=(Weakness.TAKEN_PORT,),
        edits=(
            Edit(
                file="server/connections.py",
                old="and (peer or held_by not in self._known):\n",
                new="and (peer or held_by):\n",
            ),
        ),
        tests="integration/test_health_port.py",
        red=("test_an_idle_connection_of_an_address_that_has_shown_a_token_outlasts_strangers",),
    ),
    Sabotage(
        takes_out="a request under way keeps its connection",
        red_at="c04aa7b9a7",
        against=(Weakness.TAKEN_PORT,),
        edits=(
            Edit(
                file="server/connections.py",
                old="            self._idle.pop(connection, None)\n\n    def end_request",
                new="            self._idle[connection] = None\n\n    def end_request",
            ),
        ),
        tests="integration/test_health_port.py",
        red=("test_a_request_under_way_keeps_its_connection",),
    ),
    Sabotage(
        takes_out="readiness is asked for once a second however many ask",
        red_at="c04aa7b9a7",
        against=(Weakness.TAKEN_PORT,),
        edits=(
            Edit(
                file="server/health.py",
                old="            if self._steady() >= self._parts_until:\n",
                new="            if self._steady() >= self._parts_until - _CACHE_SECONDS:\n",
            ),
        ),
        tests="integration/test_health_port.py",
        red=("test_however_often_strangers_ask_the_ledger_is_asked_once_a_second",),
    ),
    Sabotage(
        takes_out="a certificate that is renewed is shown from the next connection on",
        red_at="c04aa7b9a7",
        against=(Weakness.OPEN_PORT,),
        edits=(
            Edit(
                file="server/tls.py",
                old="            if stamp != self._stamp:\n",
                new="            if len(stamp) != len(self._stamp):\n",
            ),
        ),
        tests="integration/test_tls_of_the_port.py",
        red=(
            "test_a_certificate_that_is_renewed_is_shown_from_the_next_connection_on",
            "test_a_renewal_that_makes_no_sense_leaves_the_last_certificate_in_use",
            "test_connections_that_are_open_keep_their_certificate",
        ),
    ),
    Sabotage(
        takes_out="what the daemon knows is told to nobody without a token",
        red_at="c04aa7b9a7",
        against=(Weakness.OPEN_PORT,),
        edits=(
            Edit(
                file="server/authentication.py",
                old="    ApiRole.NOBODY: frozenset({Action.DESCRIBE}),\n",
                new="    ApiRole.NOBODY: frozenset({Action.DESCRIBE, Action.READ}),\n",
            ),
        ),
        tests="unit/server/test_authentication.py",
        red=("test_each_role_has_its_rights_and_no_other",),
    ),
)
