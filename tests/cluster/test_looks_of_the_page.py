"""Every look of the page's three runbooks, on the five services: what kubectl shows is what a runbook sees."""

import json
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from tests.cluster.kubectl import Object, grouped, kubectl, same, shown
from tests.harness.cluster import RealCluster
from tests.harness.stack import ServiceStack, Tier

pytestmark = pytest.mark.cluster

SOON = timedelta(seconds=20)

LISTS = (
    "kubectl get pods -l app=web-app",
    "kubectl get svc web-app-service",
    "kubectl get pods -l app=database",
    "kubectl get pv,pvc -n production",
    "kubectl get nodes",
    "kubectl get pvc,sc -A",
    "kubectl get endpointslices -A",
)
SORTED = (
    "kubectl get events --sort-by=.metadata.creationTimestamp",
    "kubectl get events -A --sort-by=.metadata.creationTimestamp",
)
HISTORY = "kubectl rollout history deployment/web-app-deployment"
STATUS = "kubectl rollout status deployment/web-app-deployment"
STATEMENTS = ("SELECT 1", "SELECT * FROM pg_stat_replication", "SELECT datname FROM pg_database ORDER BY datname")


@dataclass(frozen=True, kw_only=True)
class Both:
    """The same line, as a runbook's step and to the real kubectl."""

    actions: Actions
    cluster: RealCluster
    place: str

    async def names(self, line: str) -> dict[str, Any]:
        """Return what a step of this line sees."""
        return dict((await self.actions.read(parse(line, namespace=self.place), deadline=SOON)).names)

    async def objects(self, line: str) -> list[Object]:
        """Return the objects that a step sees, kind after kind where it asks for several."""
        names = await self.names(line)
        kinds = line.split()[2].split(",")
        return [each for kind in kinds for each in names[kind]] if len(kinds) > 1 else list(names["items"])

    def printed(self, line: str, *more: str) -> str:
        """Return what kubectl prints."""
        return kubectl(self.cluster, self.place, line, *more)

    def shown(self, line: str) -> list[Object]:
        """Return the objects that kubectl shows."""
        return list(shown(self.printed(line, "-o", "json")))


@pytest.fixture
async def both(stack: ServiceStack) -> AsyncIterator[Both]:
    """Return who asks for both, as the administrator."""
    async with KubeClient.connect(KubeSettings(kubeconfig=stack.cluster.kubeconfig)) as kube:
        actions = Actions(kube, Clients.restricted_to(AddressRule()))
        yield Both(actions=actions, cluster=stack.cluster, place=stack.namespace)


async def test_every_look_of_the_page_sees_what_kubectl_shows_of_the_five_services(
    stack: ServiceStack, both: Both
) -> None:
    """Whole objects, in the same order where kubectl sorts; lines of a log, revisions, the last word of a rollout, rows."""
    for line in LISTS:
        await same(partial(both.objects, line), partial(both.shown, line))
    for line in SORTED:
        await same(partial(in_order, both, line), partial(shown_in_order, both, line))

    database = stack.pods(Tier.DATABASE)[0]["metadata"]["name"]
    log = f"kubectl logs {database}"
    await same(lambda: lines(both, log), lambda: both.printed(log).splitlines())
    revisions = re.findall(r"^(\d+)\s+(.*)$", both.printed(HISTORY), re.MULTILINE)
    found = (await both.names(HISTORY))["revisions"]
    assert [(str(each["number"]), each["cause"] or "<none>") for each in found] == revisions
    assert (await both.names(STATUS))["message"] == both.printed(STATUS).splitlines()[-1]
    for statement in STATEMENTS:
        line = f"kubectl exec -it {database} -- psql -U postgres -c {shlex.quote(statement)}"
        wrapped = f"SELECT coalesce(json_agg(row_to_json(t)), '[]') FROM ({statement}) t"
        theirs = both.printed(f"kubectl exec {database} -- psql -XAtU postgres -c {shlex.quote(wrapped)}")
        assert (await both.names(line))["rows"] == json.loads(theirs)


async def in_order(both: Both, line: str) -> object:
    """Return the objects that a step sees, by the moment of their creation."""
    return grouped(await both.objects(line))


def shown_in_order(both: Both, line: str) -> object:
    """Return the objects that kubectl shows, by the moment of their creation."""
    return grouped(both.shown(line))


async def lines(both: Both, line: str) -> object:
    """Return the lines that a step sees of a log."""
    return (await both.names(line))["lines"]
