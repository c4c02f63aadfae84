"""Bodies as Alertmanager sends them, in as many variations as the tests need."""

import json
from datetime import UTC, datetime
from pathlib import Path

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "data" / "alertmanager"


def captured(name: str) -> bytes:
    """Return a body that a real Alertmanager 0.28.1 sent."""
    return (DATA / f"{name}.json").read_bytes()


def alert(**fields: object) -> dict[str, object]:
    """Return an alert that fires; None takes a field away."""
    whole: dict[str, object] = {
        "status": "firing",
        "labels": {"alertname": "PodDown", "namespace": "shop", "pod": "web-1"},
        "annotations": {"summary": "A pod is down."},
        "startsAt": "2026-11-24T13:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "0123456789abcdef",
    }
    return {name: value for name, value in (whole | fields).items() if value is not None}


def webhook(*alerts: object, **fields: object) -> bytes:
    """Return a body with these alerts; None takes a field away."""
    whole: dict[str, object] = {
        "version": "4",
        "receiver": "kintsugi",
        "status": "firing",
        "groupKey": '{}:{alertname="PodDown"}',
        "truncatedAlerts": 0,
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
    }
    return json.dumps({name: value for name, value in (whole | fields).items() if value is not None}).encode()
