"""Real Alertmanagers, one or several in gossip, that send what is fired to a webhook within a fraction of a second."""

import json
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.harness.processes import Program, free_port
from tests.harness.waiting import wait_for

PROGRAM = "prometheus-alertmanager"
RECEIVER = "kintsugi"
LASTS = timedelta(hours=1)


def obstacle() -> str | None:
    """Return why no Alertmanager can be had here, or None."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed (tests/harness/setup installs it)"


@dataclass(kw_only=True, slots=True)
class Alertmanager:
    """One or several Alertmanagers with one configuration. Alerts go to all that run, as Prometheus sends them."""

    folder: Path
    webhook: str
    token_file: Path
    replicas: int = 1
    _programs: list[Program] = field(default_factory=list)
    _urls: list[str] = field(default_factory=list)

    @property
    def urls(self) -> Sequence[str]:
        """Return the URL of each replica."""
        return tuple(self._urls)

    def start(self) -> None:
        """Start all replicas and wait until each is ready and knows the others."""
        config = self.folder / "alertmanager.json"
        config.write_text(json.dumps(self._config()))
        gossip = [f"127.0.0.1:{free_port()}" for _ in range(self.replicas)]
        for number, address in enumerate(gossip):
            port = free_port()
            self._urls.append(f"http://127.0.0.1:{port}")
            arguments = [
                PROGRAM,
                f"--config.file={config}",
                f"--storage.path={self.folder / f'data-{number}'}",
                f"--web.listen-address=127.0.0.1:{port}",
                *_cluster(address, [each for each in gossip if each != address]),
            ]
            self._programs.append(
                Program(
                    name=f"alertmanager-{number}", arguments=arguments, log=self.folder / f"alertmanager-{number}.log"
                )
            )
        for program in self._programs:
            program.start()
        wait_for(self._all_ready, within=20, describe=lambda: "\n".join(each.tail() for each in self._programs))

    def stop(self) -> None:
        """Kill all replicas."""
        for program in self._programs:
            program.stop()

    def fire(self, labels: Mapping[str, str], *, starts_at: datetime | None = None) -> datetime:
        """Report an alert as firing and return when it began; the same labels and beginning keep it going."""
        began = starts_at or datetime.now(UTC)
        self._post(labels, began, datetime.now(UTC) + LASTS)
        return began

    def resolve(self, labels: Mapping[str, str], *, starts_at: datetime) -> None:
        """Report that the alert which began then is over."""
        self._post(labels, starts_at, datetime.now(UTC))

    def silence(self, matchers: Mapping[str, str]) -> str:
        """Silence alerts whose labels have these values, and return the silence's id; gossip carries it to the others."""
        now = datetime.now(UTC)
        body = {
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in matchers.items()
            ],
            "startsAt": now.isoformat(),
            "endsAt": (now + LASTS).isoformat(),
            "createdBy": "harness",
            "comment": "a test silences this",
        }
        made: str = _call("POST", f"{self._urls[0]}/api/v2/silences", body)["silenceID"]
        return made

    def unsilence(self, silence: str) -> None:
        """End a silence."""
        _call("DELETE", f"{self._urls[0]}/api/v2/silence/{silence}")

    def _post(self, labels: Mapping[str, str], began: datetime, ends: datetime) -> None:
        alert = {
            "labels": dict(labels),
            "annotations": {},
            "startsAt": began.isoformat(),
            "endsAt": ends.isoformat(),
            "generatorURL": "http://prometheus.invalid/graph",
        }
        running = [url for url, program in zip(self._urls, self._programs, strict=True) if program.pid is not None]
        for url in running:
            _call("POST", f"{url}/api/v2/alerts", [alert])

    def _config(self) -> Mapping[str, Any]:
        credentials = {"authorization": {"type": "Bearer", "credentials_file": str(self.token_file)}}
        webhook = {"url": self.webhook, "send_resolved": True, "http_config": credentials}
        return {
            "route": {
                "receiver": RECEIVER,
                "group_by": ["alertname", "namespace", "service"],
                "group_wait": "200ms",
                "group_interval": "500ms",
                "repeat_interval": "1h",
            },
            "receivers": [{"name": RECEIVER, "webhook_configs": [webhook]}],
        }

    def _all_ready(self) -> bool:
        return all(map(self._ready, self._urls))

    def _ready(self, url: str) -> bool:
        if self.replicas == 1:
            return bool(_call("GET", f"{url}/-/ready"))
        return len(_call("GET", f"{url}/api/v2/status")["cluster"].get("peers", ())) == self.replicas


def _cluster(own: str, others: Sequence[str]) -> list[str]:
    if not others:
        return ["--cluster.listen-address="]
    peers = [f"--cluster.peer={each}" for each in others]
    # Replicas settle and wait for each other in proportion to these: a test has no fifteen seconds.
    pace = ["--cluster.settle-timeout=1s", "--cluster.gossip-interval=50ms", "--cluster.peer-timeout=1s"]
    return [f"--cluster.listen-address={own}", f"--cluster.advertise-address={own}", *peers, *pace]


def _call(method: str, url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text
