"""The JSON API: what it answers, and that every route is closed to everybody who has no right to it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.model.api_types import AnswerRequest, PauseRequest
from kintsugi.model.manual import Override, RecoverRequest
from kintsugi.model.questions import Answer
from kintsugi.model.records import PauseScope, Signal, Target
from tests.integration.intake_server import ANA, OPERATOR, WEBHOOK, Served, ledger_in, served
from tests.integration.operations_double import QUESTION, FakeOperations

NOBODY: Mapping[str, str] = {}
UNREADABLE: tuple[object, ...] = ({}, {"labels": {}}, {"labels": {"a": 5}})
API, INCIDENT = "/api/v1", "/api/v1/incidents/inc-1"
ANSWER, TAKE, ABORT, ROLLBACK = (f"{INCIDENT}/{deed}" for deed in ("answer", "take", "abort", "rollback"))
PAUSES, RESEND = f"{API}/pauses", f"{API}/dead-letters/dead-1/resend"
RECOVER = f"{API}/runbooks/web-service-recovery/recover"

PEOPLE = [
    ("GET", f"{API}/incidents"),
    ("GET", INCIDENT),
    ("POST", ANSWER),
    ("POST", TAKE),
    ("POST", ABORT),
    ("POST", ROLLBACK),
    ("GET", f"{API}/signals"),
    ("GET", f"{API}/dead-letters"),
    ("POST", RESEND),
    ("GET", PAUSES),
    ("POST", PAUSES),
    ("DELETE", f"{PAUSES}/pause-1"),
    ("GET", f"{API}/readiness"),
    ("GET", f"{API}/services"),
    ("GET", f"{API}/services/web-service"),
    ("GET", f"{API}/services/web-service/manifest"),
    ("POST", RECOVER),
    ("GET", f"{API}/explain"),
    ("POST", f"{API}/explain"),
]

PLAN = {"plan": QUESTION.plan, "answer": "yes"}
NO = {"plan": QUESTION.plan, "answer": "no", "why": "a deploy"}
PAUSE = {"scope": "namespace", "name": "shop", "why": "migration", "freeze": True, "minutes": 90}
PAUSED = PauseRequest(
    scope=PauseScope.NAMESPACE, name="shop", why="migration", freeze=True, lasts=timedelta(minutes=90)
)
START = {"why": "old pods", "service": "shop", "parameters": {"replicas": "3"}, "overrides": ["cooldown"], "key": "k"}
STARTED = RecoverRequest(
    runbook="web-service-recovery",
    service="shop",
    parameters={"replicas": "3"},
    why="old pods",
    overrides=frozenset({Override.COOLDOWN}),
    key="k",
)
SHOWN = {"confirm": True, "digest": "shown"}


@dataclass
class OperatorApiPort:
    """The port, and what was asked behind it."""

    port: Served
    operations: FakeOperations

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] = ANA, body: object = None
    ) -> tuple[int, Any]:
        """Call a route and give status and body."""
        async with self.port.client.request(method, self.port.url + path, headers=headers, json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def api(tmp_path: Path, operations: FakeOperations) -> AsyncIterator[OperatorApiPort]:
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


@pytest.mark.parametrize("path", ["/", "/api", API, f"{INCIDENT}/delete", "/alertmanager/", "/debug", "/metrics"])
async def test_a_route_that_is_not_in_the_table_does_not_exist(api: OperatorApiPort, path: str) -> None:
    async with api.port.client.post(api.port.url + path, headers=ANA) as answer:
        assert answer.status in {404, 405}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "asked"),
    [
        ("POST", ANSWER, PLAN, 200, ("answer", "inc-1", AnswerRequest(plan=QUESTION.plan, answer=Answer.YES), "ana")),
        (
            "POST",
            ANSWER,
            NO,
            200,
            ("answer", "inc-1", AnswerRequest(plan=QUESTION.plan, answer=Answer.NO, why="a deploy"), "ana"),
        ),
        ("POST", TAKE, {"why": "mine"}, 202, ("take", "inc-1", "ana", "mine")),
        ("POST", ABORT, {"why": "a deploy"}, 202, ("abort", "inc-1", "ana", "a deploy")),
        ("POST", ROLLBACK, None, 200, ("roll_back", "inc-1", "ana", "")),
        ("POST", ROLLBACK, SHOWN, 202, ("roll_back", "inc-1", "ana", "shown")),
        ("POST", RECOVER, START, 200, ("recover", STARTED, "ana")),
        ("POST", RECOVER, START | SHOWN, 202, ("recover", replace(STARTED, digest="shown"), "ana")),
        ("POST", PAUSES, PAUSE, 201, ("pause", PAUSED, "ana")),
        ("POST", PAUSES, PAUSE | {"name": "kube-system"}, 409, ("pause", replace(PAUSED, name="kube-system"), "ana")),
        ("DELETE", f"{PAUSES}/pause-9", {"why": "over"}, 404, ("resume", "pause-9", "ana", "over")),
        ("POST", RESEND, None, 200, ("resend", "dead-1", "ana")),
        ("POST", RESEND.replace("dead-1", "other"), None, 404, ("resend", "other", "ana")),
    ],
)
async def test_a_request_is_passed_on_in_the_name_of_its_token(
    api: OperatorApiPort, method: str, path: str, body: object, status: int, asked: tuple[object, ...]
) -> None:
    """A deed that is refused, or that is about something unknown, is not done, and says so by its status."""
    assert (await api.ask(method, path, ANA, body))[0] == status
    assert api.operations.asked == [asked]


@pytest.mark.parametrize(
    ("method", "path", "body", "wrong"),
    [
        *(("GET", f"{API}/incidents?limit={limit}", None, "limit") for limit in ("0", "501", "x")),
        ("GET", f"{API}/incidents?open=maybe", None, "open"),
        ("GET", f"{API}/signals?limit=501", None, "limit: '501' is not a number from 1 to 500"),
        ("GET", f"{API}/signals?verdict=refuse", None, "there is no 'refuse'; there is started, attached, held"),
        ("GET", f"{API}/signals?reason=x", None, "reason: there is no 'x'; there is matched"),
        ("GET", f"{INCIDENT}?signals=501", None, "signals"),
        ("GET", f"{INCIDENT}?skip=x", None, "skip"),
        *(("GET", f"{API}/explain?pod={pod}", None, "pod") for pod in ("web-1", "/web-1", "a/b/c")),
        *(("POST", f"{API}/explain", alert, "") for alert in UNREADABLE),
        ("POST", ANSWER, {"answer": "yes"}, "plan"),
        ("POST", ANSWER, PLAN | {"who": "ben"}, "who: the token belongs to ana, it cannot act for ben"),
        ("POST", ANSWER, NO | {"plan": ""}, "plan"),
        ("POST", ANSWER, NO | {"why": " "}, "why"),
        ("POST", ABORT, {"why": " "}, "why"),
        ("POST", ROLLBACK, {"confirm": True}, "digest"),
        ("POST", RECOVER, {"why": " "}, "why: empty"),
        ("POST", RECOVER, {"why": "x", "confirm": True}, "digest: empty"),
        ("POST", RECOVER, {"why": "x", "key": "k" * 101}, "key: longer than 100"),
        ("POST", RECOVER, {"why": "x", "overrides": ["budget"]}, "Invalid enum value 'budget'"),
        ("POST", RECOVER, {"why": "x", "parameters": {"replicas": 3}}, "parameters"),
        ("POST", RECOVER, {"why": "x", "mode": "auto"}, "mode"),
        ("POST", PAUSES, {"scope": "namespace", "name": "shop"}, "why"),
        ("POST", PAUSES, {"scope": "global", "why": " "}, "why"),
        ("POST", PAUSES, {"scope": "namespace", "why": "x"}, "name"),
        ("POST", PAUSES, {"scope": "global", "name": "shop", "why": "x"}, "name"),
        ("POST", PAUSES, {"scope": "galaxy", "why": "x"}, "galaxy"),
        ("POST", PAUSES, {"scope": "global", "why": "x", "minutes": 0}, "minutes"),
        ("POST", PAUSES, {"scope": "global", "why": "x", "minutes": 1e12}, "minutes"),
        ("POST", PAUSES, {"scope": "global", "why": "x", "hours": 1}, "hours"),
        ("POST", PAUSES, [], "array"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_with_what_is_wrong(
    api: OperatorApiPort, method: str, path: str, body: object, wrong: str
) -> None:
    status, answered = await api.ask(method, path, ANA, body)
    assert status == 400
    assert wrong in answered["error"]
    assert api.operations.asked == []


async def test_a_token_of_nobody_in_particular_must_say_who(api: OperatorApiPort) -> None:
    for path, body in ((ANSWER, PLAN), (RESEND, {})):
        status, answered = await api.ask("POST", path, OPERATOR, body)
        assert (status, answered["error"].partition(":")[0]) == (400, "who")
    assert (await api.ask("POST", ANSWER, OPERATOR, PLAN | {"who": "ben"}))[0] == 200
    assert api.operations.asked == [("answer", "inc-1", AnswerRequest(plan=QUESTION.plan, answer=Answer.YES), "ben")]


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
    status, answered = await api.ask("POST", ANSWER, OPERATOR, PLAN | {"who": said})
    assert status == 400
    assert complaint in answered["error"]
    assert api.operations.asked == []


async def test_answers_are_shown_with_all_that_is_known(api: OperatorApiPort) -> None:
    """What is not known is null; a dead letter is listed without what it holds."""
    _, detail = await api.ask("GET", INCIDENT)
    assert detail["incident"]["state"] == "recovered"
    (run,) = detail["runs"]
    assert run["steps"][5]["undo"]["texts"] == ["kubectl scale deployment/web --replicas=3 -n production"]
    assert run["evidence"][0]["text"] == "Name: web-1\nStatus: CrashLoopBackOff"
    assert (await api.ask("GET", f"{API}/incidents/inc-9"))[0] == 404
    assert (await api.ask("GET", f"{API}/services"))[1]["services"][2]["healthy"] is None
    letters = (await api.ask("GET", f"{API}/dead-letters?limit=3"))[1]["dead_letters"]
    assert set(letters[0]) == {"id", "source", "received", "reason", "excerpt", "resendable"}
    told = (await api.ask("GET", f"{API}/signals"))[1]["signals"][1]
    assert (told["signal"]["id"], told["verdict"]["kind"], told["verdict"]["reason"]) == (
        "sig-2",
        "attached",
        "active-run",
    )
    assert await api.ask("POST", RESEND) == (200, {"id": "dead-1", "accepted": 1, "dead_letters": 0, "stale": 0})


@pytest.mark.parametrize(
    ("query", "page"), [("", (100, 0)), ("?signals=500&skip=9500", (500, 9500)), ("?signals=1", (1, 0))]
)
async def test_an_incidents_signals_are_told_page_by_page(
    api: OperatorApiPort, query: str, page: tuple[int, int]
) -> None:
    """An incident of a storm has tens of thousands."""
    assert (await api.ask("GET", f"{INCIDENT}{query}"))[0] == 200
    assert api.operations.pages == [page]


async def test_an_alert_can_be_explained(api: OperatorApiPort) -> None:
    labels = {"alertname": "PodDown", "namespace": "shop", "pod": "web-1"}
    assert (await api.ask("POST", f"{API}/explain", ANA, {"labels": labels}))[0] == 200
    ((_, alert),) = api.operations.asked
    assert isinstance(alert, Signal)
    assert (alert.labels, alert.target) == (labels, Target(kind="Pod", namespace="shop", name="web-1"))


@pytest.mark.parametrize(
    ("header", "status"), [({"Content-Length": str(10**9)}, 413), ({"Content-Encoding": "gzip"}, 415)]
)
async def test_a_body_that_is_beyond_measure_or_compressed_is_not_read(
    api: OperatorApiPort, header: Mapping[str, str], status: int
) -> None:
    data = b"" if status == 413 else b"{}"
    async with api.port.client.post(api.port.url + PAUSES, headers={**ANA, **header}, data=data) as answer:
        assert answer.status == status
