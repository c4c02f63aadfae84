"""`kubectl exec`: a program that only looks, in the container that it is meant for."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from kintsugi.actions import live, psql
from kintsugi.actions.containers import LONGEST_OUTPUT, Container, Containers, running
from kintsugi.actions.live import Live
from kintsugi.actions.pods import pods_of
from kintsugi.actions.result import Result
from kintsugi.actions.threads import LEAST_LINE, computed
from kintsugi.commands.queries import psql_of
from kintsugi.errors import ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.kube.execution import Executed
from kintsugi.model.command import Exec
from kintsugi.objects import facts
from kintsugi.objects.kept import Pod
from kintsugi.objects.resources import PODS
from kintsugi.telemetry import SECRETS

MOST_LINES = LONGEST_OUTPUT // LEAST_LINE


async def execute(kube: KubeClient, containers: Containers, command: Exec, within: timedelta) -> Result:
    """Run the program. Raises ProbeFailed when no container can take it, OutcomeUnknown when its end was not seen."""
    pods = sorted(await pods_of(kube, command.object, command.namespace), key=live.name)
    one = command.object.resource == PODS
    if command.argv[0] == "psql":
        asked = psql_of(command.argv)
        if one:
            return await psql.inside(containers, running(pods[0], command.container), asked, within)
        place = (command.object, command.container)
        return await psql.inside(containers, await psql.primary(containers, pods, place, asked, within), asked, within)
    container = running(pods[0], command.container) if one else _first_ready(pods, command)
    executed = await containers.run(container, command.argv, within=within)
    size = len(executed.stdout) + len(executed.stderr)
    return await computed(size, lambda: _output(container, command.argv[0], executed))


def _first_ready(pods: list[Live], command: Exec) -> Container:
    ready = next((pod for pod in pods if _serves(pod)), None)
    if ready is None:
        raise ProbeFailed(f"{command.object} has no pod that is ready, of {len(pods)}")
    return running(ready, command.container)


def _serves(pod: Live) -> bool:
    kept = live.kept(pod, Pod)
    return facts.ready(kept) and not facts.terminating(kept)


def _output(container: Container, program: str, executed: Executed) -> Result:
    """Give what a program said; one that fails has answered, too."""
    text = SECRETS.text(executed.stdout.decode(errors="replace"))
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n", MOST_LINES)[:MOST_LINES]] if text else []
    said = SECRETS.text(executed.stderr.decode(errors="replace").strip())
    names: dict[str, object] = {"lines": lines, "text": text, "exit_code": executed.exit_code}
    if program == "df" and executed.exit_code == 0:
        names["disk"] = disk_of(lines)
    failed = f"{container}: {program} exited {executed.exit_code}{f': {said}' if said else ''}"
    cut = ", cut at 1 MiB" if executed.truncated else ", cut there" if len(lines) == MOST_LINES else ""
    return Result(
        names=names,
        summary=f"{container}: {program} exited {executed.exit_code}, {len(lines)} lines{cut}",
        failed=failed if executed.exit_code else "",
    )


def disk_of(lines: Sequence[str]) -> Mapping[str, int]:
    """Read what `df -P -k PATH` says, in bytes. Raises ProbeFailed for what is not its answer."""
    words = " ".join(lines[1:]).split()
    try:
        size, used, free = (int(word) * 1024 for word in words[1:4])
    except ValueError as error:
        raise ProbeFailed(f"df said what is not understood: {' '.join(lines)[:200]!r}") from error
    return {"size": size, "used": used, "free": free}
