"""Whatever Alertmanager's API answers: alerts with what could not be read beside them, or one ProbeFailed."""

from datetime import UTC, datetime

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.errors import KintsugiError
from kintsugi.model.rules import RuleSource
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.poll import AlertmanagerApi, AlertmanagerSilences, Poller
from kintsugi.telemetry import Metrics
from tests.unit.answers.mutations import FUZZ, written, wrong_bytes, wrong_json
from tests.unit.answers.wire import Answering, http_answer, refused_by_name
from tests.unit.factories import signal
from tests.unit.sources.test_polling_alertmanager import MemoryPollerInbox

NOW = datetime(2026, 11, 26, 4, 30, tzinfo=UTC)
ALERTS = [
    {
        "annotations": {"summary": "a pod crashes"},
        "endsAt": "2026-11-26T04:34:00.000Z",
        "fingerprint": "0123456789abcdef",
        "receivers": [{"name": "kintsugi"}],
        "startsAt": "2026-11-26T04:00:00.000Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": "2026-11-26T04:29:00.000Z",
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "production", "pod": "web-1"},
    },
    {
        "annotations": {},
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "fedcba9876543210",
        "startsAt": "2026-11-26T04:01:00.123456789+14:00",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": ["a"], "state": "suppressed"},
        "labels": {"alertname": "KubePodNotReady", "namespace": "production", "pod": "web-2"},
    },
]
STATUS = {"cluster": {"status": "ready"}, "uptime": "2026-11-26T01:00:00.000Z", "versionInfo": {"version": "0.27.0"}}
BELIEVED = signal(kind=RuleSource.ALERT, key="0" * 16, labels={"alertname": "Gone"})


def inbox() -> MemoryPollerInbox:
    """Return an inbox that believes that one alert fires."""
    made = MemoryPollerInbox()
    made.open[BELIEVED.key] = BELIEVED
    return made


BODIES = st.one_of(wrong_json(ALERTS), wrong_json(STATUS))
PAGES = st.one_of(
    BODIES.map(http_answer),
    wrong_bytes(http_answer(written(ALERTS))),
    wrong_bytes(http_answer(b"no", b"503 Service Unavailable")),
)


@FUZZ
@given(page=PAGES)
async def test_any_bytes_of_alertmanager_are_read_or_refused_by_name(server: Answering, page: bytes) -> None:
    """B16."""
    server.parts = [page]
    settings = AlertmanagerSettings(url=f"http://127.0.0.1:{server.port}")
    async with aiohttp.ClientSession(trust_env=False) as session:
        api = AlertmanagerApi(settings, session)
        with refused_by_name("Alertmanager"):
            assert isinstance(await api.alerts(suppressed=True), bytes)
        with refused_by_name("Alertmanager"):
            assert (await api.started()).tzinfo is not None
    await server.silent()


class FixedAlertsApi:
    """Alertmanager's API with the bodies of an example."""

    def __init__(self, alerts: bytes, all_alerts: bytes, status: bytes) -> None:
        self._bodies = {False: alerts, True: all_alerts}
        self._status = status

    async def alerts(self, *, suppressed: bool) -> bytes:
        return self._bodies[suppressed]

    async def started(self) -> datetime:
        api = AlertmanagerApi(AlertmanagerSettings(url="http://127.0.0.1:9"), None)  # type: ignore[arg-type]
        api._get = self._get  # type: ignore[assignment,method-assign]
        return await api.started()

    async def _get(self, _path: str, _query: dict[str, str]) -> bytes:
        return self._status


@FUZZ
@given(alerts=wrong_json(ALERTS), all_alerts=st.one_of(st.just(b"[]"), wrong_json(ALERTS)), status=wrong_json(STATUS))
async def test_any_answer_to_a_poll_is_read_or_refused_by_name(alerts: bytes, all_alerts: bytes, status: bytes) -> None:
    """B16."""
    settings = AlertmanagerSettings(url="http://127.0.0.1:9")
    api = FixedAlertsApi(alerts, all_alerts, status)
    poller = Poller(settings, api, inbox(), Metrics(), lambda: NOW)
    for _ in range(2):
        try:
            polled = await poller.poll()
        except KintsugiError as error:
            assert "Alertmanager" in str(error)  # noqa: PT017 - most answers are none that raises
        else:
            assert polled.firing <= 1000
    try:
        await AlertmanagerSilences(api, lambda: NOW).suppressed()
    except KintsugiError as error:
        assert "Alertmanager" in str(error)  # noqa: PT017
