"""One PostgreSQL, asked both ways: over the network, and through the real `psql` of a container."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Unpack

from kintsugi.actions.probe import ProbeContext
from kintsugi.commands import parse_template
from kintsugi.expressions import Scope
from kintsugi.kube.execution import ExecOptions, Executed
from kubeobjects.resources import PODS, Resource
from tests.harness.postgres import Postgres
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts, actions_on

SOON = timedelta(seconds=10)
WAYS = ["in a container", "directly"]
POD: dict[str, Any] = {
    "metadata": {"name": "database-0", "namespace": "production", "uid": "u-1"},
    "spec": {"containers": [{"name": "postgres"}]},
    "status": {"containerStatuses": [{"name": "postgres", "containerID": "c://1", "state": {"running": {}}}]},
}


class LocalContainer(ClusterOfDicts):
    """One container, or those of `objects`, whose programs run on this machine."""

    def __init__(self, programs: Path, *objects: tuple[Resource, dict[str, Any]]) -> None:
        super().__init__(*(objects or ((PODS, POD),)))
        self.programs = programs
        self.started: list[Sequence[str]] = []

    def environment(self, pod: str) -> Mapping[str, str]:
        """Return what the programs of a pod are told besides."""
        return {}

    async def execute(
        self, name: str, namespace: str, command: Sequence[str], **options: Unpack[ExecOptions]
    ) -> Executed:
        """Run the words as they are, and cut what is too long."""
        limit_bytes, deadline = options["limit_bytes"], options["deadline"]
        assert deadline is not None
        self.started.append(command)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}", **self.environment(name)},
        )
        out, err = await asyncio.wait_for(process.communicate(), deadline.total_seconds())
        assert process.returncode is not None
        return Executed(
            stdout=out[:limit_bytes],
            stderr=err[:limit_bytes],
            exit_code=process.returncode,
            truncated=len(out) > limit_bytes,
        )


class AskedServer:
    """Ask one server both ways, as a runbook's step does."""

    def __init__(self, server: Postgres) -> None:
        self.container = LocalContainer(server.programs.bin)
        self.port = server.port
        self._actions = actions_on(self.container)

    async def ask(
        self,
        way: str,
        statement: str,
        *,
        deadline: timedelta = SOON,
        connection: str = "-U postgres",
        allowed_functions: frozenset[str] = frozenset(),
    ) -> Mapping[str, object]:
        """Ask in a container, or directly; `connection` says who asks which database."""
        words = f"psql -h 127.0.0.1 -p {self.port} {connection} -c {quoted(statement)}"
        line = words if way == "directly" else f"kubectl exec database-0 -- {words}"
        template = parse_template(line, Scope(names={}), allowed_functions=allowed_functions)
        command = template.bind({}, namespace="production")
        return (await self._actions.read(command, deadline=deadline, probe_context=ProbeContext())).names


def quoted(statement: str) -> str:
    """Quote for the grammar, which splits as a shell does."""
    return "'" + statement.replace("'", "'\"'\"'") + "'"
