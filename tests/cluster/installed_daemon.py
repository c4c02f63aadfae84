"""A daemon that helm has installed from the chart, in its own pod, and what its notes tell a person to type."""

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import Request

from tests.harness.daemon import OPERATOR, TOKEN
from tests.harness.deployed_daemon import DeployedDaemon
from tests.harness.helm import NAME
from tests.harness.waiting import wait_for


@dataclass(kw_only=True)
class InstalledDaemon(DeployedDaemon):
    """A daemon that helm has installed; its tokens are those of the chart's Secrets."""

    def find(self) -> "InstalledDaemon":
        """Look where its pod is now."""
        [pod] = wait_for(self._standing, within=60, describe=self.pods)
        self.url, self.health_url = (f"http://{pod['status']['podIP']}:{port}" for port in (8080, 8081))
        return self

    def get(self, path: str) -> tuple[int, Any]:
        """Ask with the token of the operator that the chart has made."""
        if path.startswith("/api"):
            name, _, token = self.tokens()["operators"].partition(":")
            assert name == "operator"
            return self._ask(Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {token}"}))
        return super().get(path)

    def post(self, path: str, body: object, *, token: str = OPERATOR) -> tuple[int, Any]:
        """Send with the chart's own token in the place of the one of that kind that the tests have."""
        own = self.tokens()["webhook" if token == TOKEN else "operators"]
        return super().post(path, body, token=own.rpartition(":")[2])

    def tokens(self) -> Mapping[str, str]:
        """Return what stands in the Secrets, by their keys."""
        found = [self.cluster.get("secret", f"{NAME}-{kind}", NAME)["data"] for kind in ("webhook", "operators")]
        return {key: base64.b64decode(value).decode() for each in found for key, value in each.items()}

    def _standing(self) -> list[Any]:
        """Return its one pod, once it is the only one and ready."""
        pods = self.pods()
        ready = [
            each
            for each in pods
            if all(one["ready"] for one in each["status"].get("containerStatuses", [{"ready": False}]))
        ]
        return ready if len(pods) == 1 else []


def asked_in(notes: str, what: str) -> list[str]:
    """Return the arguments of the command of kubectl that the notes show for it."""
    [line] = [line.strip() for line in notes.splitlines() if what in line]
    program, *arguments = shlex.split(line)
    assert program == "kubectl"
    return arguments
