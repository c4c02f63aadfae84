"""What makes a row: its commands by the real kubectl as they stand in the page, and its moves by their names."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from kubediagnosis.causes import CauseKind
from tests.faults import page
from tests.faults.moves import MOVES, Scene
from tests.faults.page import Row
from tests.faults.stage import Stage, lay_out
from tests.harness.api import Object
from tests.harness.cluster import KubectlError
from tests.harness.waiting import wait_for

_TIMEOUT = 300.0
_ALL = ("all", "both")
_IN_FRONT: Mapping[str, str] = {"parcels": "reception", "shop": "ingress-controller"}
_SETTLED = timedelta(seconds=70)
"""What is written within a minute after a template counts as applied with it: a template that is not at fault is older than that."""
# Seconds until a fault is seen: on a machine at rest.
_SEEN = 40.0
_SEEN_LATER: Mapping[str, float] = {"init-hangs": 150.0, "start-too-slow": 90.0, "database-hangs": 90.0}


class Performance:
    """One row being made. `pod` is what POD stood for in its commands."""

    def __init__(self, stage: Stage, row: Row) -> None:
        self.stage = stage
        self.row = row
        self.application = stage.application(row.application)
        # What is about all services of an application shows at the one that people speak to.
        self.workload = page.workloads()[_IN_FRONT[row.application] if row.service in _ALL else row.service]
        self.namespace = self.application.namespace_of(self.workload)
        self.pod = ""
        # What the page calls a file lies in the stage's folder.
        self._files: Mapping[str, str] = {}

    def run(self) -> None:
        """Make the fault: each command when the rollouts before it are over."""
        self._files = {each: str(self.stage.folder / each) for each in lay_out(self.stage.folder)}
        if self.row.field.startswith("data[") and self.row.cause != CauseKind.MISSING_CONFIGURATION:
            wait_for(
                self._has_settled, within=_SETTLED.seconds, every=1, describe="the template is in force for a while"
            )
        if any(command.startswith("kubectl autoscale") for command in self.row.commands):
            self.stage.measure(self.namespace)
        for number, command in enumerate(self.row.commands):
            if number:
                wait_for(self.application.over_or_stuck, within=60, describe=self.application.incomplete)
            self._perform(command)
        if any(each.startswith("kubectl rollout restart") for each in self.row.commands[-1:]):
            wait_for(self.application.over_or_stuck, within=60, describe=self.application.incomplete)

    def add(self, command: str) -> None:
        """Type one more command, which is of several faults at a time and of no row."""
        self._perform(command)

    @property
    def patience(self) -> float:
        """Return how many seconds a cause may take to be seen."""
        return _SEEN_LATER.get(self.row.id, _SEEN)

    def pods(self) -> Sequence[Object]:
        """Return the pods of the row's workload."""
        return self.application.pods(self.workload, self.namespace)

    def _perform(self, command: str) -> None:
        words = [word for each in shlex.split(command) for word in self._named(each)]
        if words[0] != "kubectl":
            MOVES[words[0]](self._scene(), words[1:])
            return
        at = [_placed(word, self._files) for word in words[1:]]
        with suppress(*_MAY_FAIL.get(words[1], ())):
            self.stage.cluster.kubectl("-n", self.namespace, *at, limit=_TIMEOUT)

    def _has_settled(self) -> bool:
        kind, _, name = self.workload.partition("/")
        made = self.stage.cluster.get(kind, name, self.namespace)["metadata"]["creationTimestamp"]
        return datetime.now(UTC) - datetime.fromisoformat(made) > _SETTLED

    def _scene(self) -> Scene:
        return Scene(
            stage=self.stage,
            application=self.row.application,
            service=self.row.service,
            namespace=self.namespace,
            pods=self.pods,
        )

    def _named(self, word: str) -> Sequence[str]:
        """Return the pods that a word of a command stands for, else the word."""
        if word not in ("POD", "PODS"):
            return (word,)
        names = [str(each["metadata"]["name"]) for each in self.pods()]
        self.pod = self.pod or names[0]
        return names if word == "PODS" else (self.pod,)


# That a drain ends in vain is what its rows are about.
_MAY_FAIL: Mapping[str, tuple[type[Exception], ...]] = {"drain": (KubectlError,)}


def _placed(word: str, files: Mapping[str, str]) -> str:
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{files.get(value, value)}"
