"""The JSON API: what it answers, and that every route is closed to everybody who has no right to it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.model.records import PauseScope, Reason, Signal, Target, VerdictKind
from kintsugi.server.operations import Override, PauseRequest, RecoverRequest, RejectRequest, SignalQuery
from tests.integration.intake_server import ANA, OPERATOR, WEBHOOK, Served, ledger_in, served
from tests.integration.operations_double import RememberingOperations

NOBODY: Mapping[str, str] = {}

PEOPLE = [
    ("GET", "/api/v1/incidents"),
    ("GET", "/api/v1/incidents/inc-1"),
    ("POST", "/api/v1/incidents/inc-1/approve"),
    ("POST", "/api/v1/incidents/inc-1/reject"),
    ("POST", "/api/v1/incidents/inc-1/abort"),
    ("POST", "/api/v1/incidents/inc-1/rollback"),
    ("GET", "/api/v1/signals"),
    ("GET", "/api/v1/dead-letters"),
    ("POST", "/api/v1/dead-letters/dead-1/resend"),
    ("GET", "/api/v1/pauses"),
    ("POST", "/api/v1/pauses"),
    ("DELETE", "/api/v1/pauses/pause-1"),
    ("GET", "/api/v1/readiness"),
    ("GET", "/api/v1/services"),
    ("GET", "/api/v1/services/web-service"),
    ("GET", "/api/v1/services/web-service/manifest"),
    ("POST", "/api/v1/runbooks/web-service-recovery/recover"),
    ("GET", "/api/v1/explain"),
    ("POST", "/api/v1/explain"),
]


@dataclass
class OperatorApiPort:
    """The port, and what was asked behind it."""

    port: Served
    operations: RememberingOperations

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] = ANA, body: object = None
    ) -> tuple[int, Any]:
        """Call a route and give status and body."""
        async with self.port.client.request(method, self.port.url + path, headers=headers, json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[OperatorApiPort]:
    operations = RememberingOperations()
    async with ledger_in(tmp_path) as ledger, served(tmp_path, ledger.signals, operations) as port:
        yield OperatorApiPort(port, operations)


@pytest.mark.parametrize(("method", "path"), PEOPLE)
async def test_a_route_for_people_is_closed_to_everybody_else(api: OperatorApiPort, method: str, path: str) -> None:
    """The webhook's token never approves, reads or pauses."""
    assert (await api.ask(method, path, NOBODY))[0] == 401
    assert (await api.ask(method, path, {"Authorization": "Bearer guessed-token"}))[0] == 401
    assert (await api.ask(method, path, WEBHOOK))[0] == 403
    assert (await api.ask(method, path, ANA))[0] not in {401, 403, 500}


async def test_the_operators_token_does_not_deliver_alerts(api: OperatorApiPort) -> None:
    assert (await api.ask("POST", "/alertmanager", ANA, {}))[0] == 403
    assert (await api.ask("POST", "/alertmanager", NOBODY, {}))[0] == 401


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/api/v1/incidents/inc-1/delete", "/alertmanager/", "/debug", "/metrics"]
)
async def test_a_route_that_is_not_in_the_table_does_not_exist(api: OperatorApiPort, path: str) -> None:
    async with api.port.client.post(api.port.url + path, headers=ANA) as answer:
        assert answer.status in {404, 405}


async def test_an_incident_is_shown_with_steps_undo_and_evidence(api: OperatorApiPort) -> None:
    status, detail = await api.ask("GET", "/api/v1/incidents/inc-1")

    assert status == 200
    assert detail["incident"]["state"] == "running"
    (run,) = detail["runs"]
    assert run["steps"][0]["undo"]["texts"] == ["kubectl rollout undo deployment/web"]
    assert run["evidence"] == [{"path": "restart", "kind": "describe", "text": "Name: web"}]
    assert (await api.ask("GET", "/api/v1/incidents/inc-2"))[0] == 404


async def test_incidents_are_listed_as_asked(api: OperatorApiPort) -> None:
    status, body = await api.ask("GET", "/api/v1/incidents?service=shop&open=true&limit=7")

    assert (status, body["incidents"][0]["id"]) == (200, "inc-1")
    assert api.operations.asked == [("incidents", 7, "shop", True)]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=-1", "open=maybe", "limit=99999999999999999999"]
)
async def test_a_query_that_makes_no_sense_is_refused(api: OperatorApiPort, query: str) -> None:
    status, body = await api.ask("GET", f"/api/v1/incidents?{query}")

    assert status == 400
    assert query.partition("=")[0] in body["error"]


@pytest.mark.parametrize(
    ("query", "page"), [("", (100, 0)), ("?signals=500&skip=9500", (500, 9500)), ("?signals=1", (1, 0))]
)
async def test_an_incidents_signals_are_told_page_by_page(
    api: OperatorApiPort, query: str, page: tuple[int, int]
) -> None:
    """An incident of a storm has tens of thousands."""
    status, _ = await api.ask("GET", f"/api/v1/incidents/inc-1{query}")
    assert status == 200
    assert api.operations.asked[-1] == ("incident", "inc-1", *page)


@pytest.mark.parametrize("query", ["signals=0", "signals=501", "skip=-1", "skip=x"])
async def test_a_page_that_makes_no_sense_is_refused(api: OperatorApiPort, query: str) -> None:
    status, body = await api.ask("GET", f"/api/v1/incidents/inc-1?{query}")
    assert status == 400
    assert query.partition("=")[0] in str(body)


async def test_an_approval_says_who_and_for_which_plan(api: OperatorApiPort) -> None:
    status, _ = await api.ask("POST", "/api/v1/incidents/inc-1/approve", ANA, {"plan": "digest-1"})

    assert status == 200
    assert api.operations.asked == [("approve", "inc-1", "", "digest-1", "ana")]


async def test_no_approval_without_the_plan_that_was_shown(api: OperatorApiPort) -> None:
    assert (await api.ask("POST", "/api/v1/incidents/inc-1/approve", ANA, {}))[0] == 400
    assert (await api.ask("POST", "/api/v1/incidents/inc-1/approve", ANA, {"plan": ""}))[0] == 400
    assert api.operations.asked == []


async def test_a_rejection_says_who_why_and_of_which_plan(api: OperatorApiPort) -> None:
    path, no = "/api/v1/incidents/inc-1/reject", {"plan": "digest-1", "why": "a deploy"}
    status, given = await api.ask("POST", path, ANA, no)

    assert (status, given["who"], given["why"], given["answered"]) == (200, "ana", "a deploy", None)
    assert api.operations.asked == [("reject", "inc-1", RejectRequest(plan="digest-1", why="a deploy"), "ana")]
    for wrong in ({"plan": ""}, {"why": " "}):
        assert (await api.ask("POST", path, ANA, no | wrong))[0] == 400


async def test_an_abort_says_who_and_why(api: OperatorApiPort) -> None:
    path = "/api/v1/incidents/inc-1/abort"
    status, done = await api.ask("POST", path, ANA, {"why": "a deploy"})

    assert (status, done["reason"], done["changed"]) == (202, "aborted by ana: a deploy", True)
    assert api.operations.asked == [("abort", "inc-1", "ana", "a deploy")]
    assert (await api.ask("POST", path, ANA, {"why": " "}))[0] == 400


async def test_a_token_of_nobody_in_particular_must_say_who(api: OperatorApiPort) -> None:
    path, plan = "/api/v1/incidents/inc-1/approve", {"plan": "digest-1"}

    assert (await api.ask("POST", path, OPERATOR, plan))[0] == 400
    assert (await api.ask("POST", path, OPERATOR, plan | {"who": "ben"}))[0] == 200
    assert api.operations.asked == [("approve", "inc-1", "", "digest-1", "ben")]


async def test_a_persons_token_cannot_speak_for_another(api: OperatorApiPort) -> None:
    status, body = await api.ask("POST", "/api/v1/incidents/inc-1/approve", ANA, {"plan": "digest-1", "who": "ben"})

    assert (status, body["error"]) == (400, "who: the token belongs to ana, it cannot act for ben")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("ana", "who: ana has a token with that name, this one cannot act for ana"),
        ("Ana", "who: 'Ana' is no name: write it of lower-case letters"),
        (" ana", "who: ' ana' is no name"),
        ("\u0430na", "is no name"),
        ("a" * 101, "is no name"),
    ],
)
async def test_a_token_of_nobody_cannot_borrow_a_name(api: OperatorApiPort, said: str, complaint: str) -> None:
    """What is approved, paused or taken back stands under the name of who did it, and of nobody else."""
    body = {"plan": "digest-1", "who": said}
    status, answered = await api.ask("POST", "/api/v1/incidents/inc-1/approve", OPERATOR, body)

    assert status == 400
    assert complaint in answered["error"]
    assert api.operations.asked == []


async def test_a_rollback_first_says_what_would_be_lost(api: OperatorApiPort) -> None:
    path = "/api/v1/incidents/inc-1/rollback"

    status, shown = await api.ask("POST", path)
    assert status == 200
    assert (await api.ask("POST", path, ANA, {"confirm": True, "digest": shown["digest"]}))[0] == 202
    assert api.operations.asked == [("roll_back", "inc-1", "ana", ""), ("roll_back", "inc-1", "ana", "shown-1")]


@pytest.mark.parametrize("body", [{"confirm": True}, {"confirm": True, "digest": ""}])
async def test_no_rollback_without_what_was_shown(api: OperatorApiPort, body: object) -> None:
    status, answered = await api.ask("POST", "/api/v1/incidents/inc-1/rollback", ANA, body)

    assert (status, answered["error"].partition(":")[0]) == (400, "digest")
    assert api.operations.asked == []


RECOVER = "/api/v1/runbooks/web-service-recovery/recover"


async def test_a_start_by_hand_first_shows_its_plan(api: OperatorApiPort) -> None:
    wish = {
        "why": "old pods",
        "service": "shop",
        "parameters": {"replicas": "3"},
        "overrides": ["cooldown"],
        "key": "k",
    }

    status, shown = await api.ask("POST", RECOVER, ANA, wish)
    assert (status, shown["begun"], shown["incident"]) == (200, False, "")
    confirmed = {**wish, "confirm": True, "digest": shown["digest"]}
    assert (await api.ask("POST", RECOVER, ANA, confirmed))[0] == 202
    expected = RecoverRequest(
        runbook="web-service-recovery",
        service="shop",
        parameters={"replicas": "3"},
        why="old pods",
        overrides=frozenset({Override.COOLDOWN}),
        key="k",
    )
    started = replace(expected, digest="shown-1")
    assert api.operations.asked == [("recover", expected, "ana"), ("recover", started, "ana")]


@pytest.mark.parametrize(
    ("wish", "wrong"),
    [
        ({}, "why"),
        ({"why": " "}, "why: empty"),
        ({"why": "x", "confirm": True}, "digest: empty"),
        ({"why": "x", "key": "k" * 101}, "key: longer than 100"),
        ({"why": "x", "overrides": ["budget"]}, "Invalid enum value 'budget'"),
        ({"why": "x", "parameters": {"replicas": 3}}, "parameters"),
        ({"why": "x", "mode": "auto"}, "mode"),
    ],
)
async def test_a_start_by_hand_that_makes_no_sense_is_refused_with_what_is_wrong(
    api: OperatorApiPort, wish: object, wrong: str
) -> None:
    status, body = await api.ask("POST", RECOVER, ANA, wish)

    assert status == 400
    assert wrong in body["error"]
    assert api.operations.asked == []


async def test_a_pause_carries_who_why_and_until_when(api: OperatorApiPort) -> None:
    wish = {"scope": "namespace", "name": "shop", "why": "migration", "freeze": True, "minutes": 90}

    status, pause = await api.ask("POST", "/api/v1/pauses", ANA, wish)

    assert (status, pause["id"], pause["who"]) == (201, "pause-1", "ana")
    expected = PauseRequest(
        scope=PauseScope.NAMESPACE, name="shop", why="migration", freeze=True, lasts=timedelta(minutes=90)
    )
    assert api.operations.asked == [("pause", expected, "ana")]


@pytest.mark.parametrize(
    ("wish", "wrong"),
    [
        ({"scope": "namespace", "name": "shop"}, "why"),
        ({"scope": "global", "why": " "}, "why"),
        ({"scope": "namespace", "why": "x"}, "name"),
        ({"scope": "global", "name": "shop", "why": "x"}, "name"),
        ({"scope": "galaxy", "why": "x"}, "galaxy"),
        ({"scope": "global", "why": "x", "minutes": 0}, "minutes"),
        ({"scope": "global", "why": "x", "minutes": 1e12}, "minutes"),
        ({"scope": "global", "why": "x", "hours": 1}, "hours"),
        ([], "array"),
    ],
)
async def test_a_pause_that_makes_no_sense_is_refused_with_what_is_wrong(
    api: OperatorApiPort, wish: object, wrong: str
) -> None:
    status, body = await api.ask("POST", "/api/v1/pauses", ANA, wish)

    assert status == 400
    assert wrong in body["error"]
    assert api.operations.asked == []


async def test_a_deed_that_is_refused_says_why(api: OperatorApiPort) -> None:
    refused = {"scope": "namespace", "name": "kube-system", "why": "x"}

    assert (await api.ask("POST", "/api/v1/pauses", ANA, refused))[0] == 409
    assert (await api.ask("DELETE", "/api/v1/pauses/pause-9", ANA, {"why": "over"}))[0] == 404
    assert api.operations.asked[-1] == ("resume", "pause-9", "ana", "over")


async def test_services_are_told_with_what_is_not_known_as_null(api: OperatorApiPort) -> None:
    _, body = await api.ask("GET", "/api/v1/services")

    assert body["services"][0]["healthy"] is None


async def test_a_pod_and_an_alert_can_be_explained(api: OperatorApiPort) -> None:
    assert (await api.ask("GET", "/api/v1/explain?pod=shop/web-1"))[1]["verdict"]["kind"] == "no-rule"
    labels = {"alertname": "PodDown", "namespace": "shop", "pod": "web-1"}
    assert (await api.ask("POST", "/api/v1/explain", ANA, {"labels": labels}))[0] == 200

    (_, pod), (_, alert) = api.operations.asked
    assert pod == Target(kind="Pod", namespace="shop", name="web-1")
    assert isinstance(alert, Signal)
    assert (alert.labels, alert.target) == (labels, pod)


@pytest.mark.parametrize("pod", ["", "web-1", "/web-1", "shop/", "a/b/c"])
async def test_a_pod_that_is_not_named_whole_is_refused(api: OperatorApiPort, pod: str) -> None:
    assert (await api.ask("GET", f"/api/v1/explain?pod={pod}"))[0] == 400


@pytest.mark.parametrize("alert", [{}, {"labels": {}}, {"labels": {"a": 5}}])
async def test_an_alert_that_cannot_be_read_is_not_explained(api: OperatorApiPort, alert: object) -> None:
    assert (await api.ask("POST", "/api/v1/explain", ANA, alert))[0] == 400


async def test_a_body_beyond_measure_is_not_read(api: OperatorApiPort) -> None:
    async with api.port.client.post(
        f"{api.port.url}/api/v1/pauses", headers={**ANA, "Content-Length": str(10**9)}, data=b""
    ) as answer:
        assert answer.status == 413


async def test_a_compressed_body_is_not_read(api: OperatorApiPort) -> None:
    async with api.port.client.post(
        f"{api.port.url}/api/v1/pauses", headers={**ANA, "Content-Encoding": "gzip"}, data=b"{}"
    ) as answer:
        assert answer.status == 415


async def test_signals_are_asked_for_by_verdict_and_reason_a_page_at_a_time(api: OperatorApiPort) -> None:
    status, body = await api.ask("GET", "/api/v1/signals?verdict=refused&reason=cooldown&limit=7&before=sig-9")

    assert status == 200
    wish = SignalQuery(verdict=VerdictKind.REFUSED, reason=Reason.COOLDOWN, limit=7, before="sig-9")
    assert api.operations.asked == [("signals", wish)]
    (told,) = body["signals"]
    assert (told["signal"]["id"], told["verdict"]["kind"], told["verdict"]["reason"]) == ("sig-1", "no-rule", "no-rule")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("verdict=refuse", "verdict: there is no 'refuse'; there is started, attached, held"),
        ("reason=x", "reason: there is no 'x'; there is matched"),
        ("limit=501", "limit: '501' is not a number from 1 to 500"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_told_what_would(api: OperatorApiPort, query: str, says: str) -> None:
    status, body = await api.ask("GET", f"/api/v1/signals?{query}")

    assert status == 400
    assert says in body["error"]


async def test_dead_letters_are_listed_without_what_they_hold(api: OperatorApiPort) -> None:
    status, body = await api.ask("GET", "/api/v1/dead-letters?limit=3")

    assert status == 200
    (letter,) = body["dead_letters"]
    assert set(letter) == {"id", "source", "received", "reason", "excerpt", "resendable"}


async def test_a_dead_letter_is_sent_in_again_by_a_person_with_a_name(api: OperatorApiPort) -> None:
    assert await api.ask("POST", "/api/v1/dead-letters/dead-1/resend") == (
        200,
        {"id": "dead-1", "accepted": 1, "dead_letters": 0, "stale": 0},
    )
    assert api.operations.asked == [("resend", "dead-1", "ana")]
    assert (await api.ask("POST", "/api/v1/dead-letters/other/resend"))[0] == 404
    status, body = await api.ask("POST", "/api/v1/dead-letters/dead-1/resend", OPERATOR, {})
    assert (status, body["error"].partition(":")[0]) == (400, "who")
