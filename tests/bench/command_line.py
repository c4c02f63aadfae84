"""What a command costs, from its start to its end: a look at the daemon, the check of a catalog, and a first catalog."""

import resource
import subprocess
from collections.abc import Iterator, Mapping

from tests.bench import catalogs
from tests.bench.daemon_process import TOKEN, kubeconfig, watching
from tests.bench.figures import Figure
from tests.bench.plan import MEASURED, Plan
from tests.bench.process import pinned
from tests.bench.revision import Revision

SERVICES = 25


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the processor time of each command."""
    yield from plan.compare(_costs)


def _costs(revision: Revision) -> Mapping[str, float]:
    documents = [catalogs.usual_rules(each) for each in catalogs.services(SERVICES)]
    with watching(revision, documents, services=SERVICES, pods=SERVICES) as (api, daemon):
        cluster = ("--kubeconfig", str(kubeconfig(daemon.folder, api.url)))
        commands = {
            "services": ("--server", daemon.url),
            "validate": ("--alone", str(daemon.folder / "catalog")),
            "init": (str(daemon.folder / "first"), *cluster),
        }
        # The first command would compile its modules for all that follow.
        subprocess.run([revision.programs / "python", "-m", "compileall", "-q", revision.folder / "daemon"], check=True)
        return {f"kintsugi {name}: processor time, ms": _cost(revision, name, *of) for name, of in commands.items()}


def _cost(revision: Revision, *words: str) -> float:
    """Run a command on a core of its own; return its milliseconds."""
    before = _spent()
    command = [*pinned(MEASURED), revision.kintsugi, *words]
    environment = {**revision.environment, "KINTSUGI_TOKEN": TOKEN}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kintsugi {words[0]} ended with {done.returncode}: {done.stderr}"
    return (_spent() - before) * 1000


def _spent() -> float:
    """Return the processor seconds of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
