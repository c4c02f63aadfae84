"""The facts that guards judge by: how well we see, who pauses, who must wait."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from kintsugi.errors import ProbeFailed
from kintsugi.guards import Observer
from kintsugi.model.documents import Mode
from kintsugi.model.records import GoodRevision
from kintsugi.objects.cluster import NodeStatus
from kintsugi.objects.kept import Condition, Metadata, Namespace, Node
from kintsugi.planner import plan
from tests.unit.factories import catalog, moment, rule_text, runbook_text, service_text
from tests.unit.pipeline.business import ALERT_RULE, Business

pytestmark = pytest.mark.looptime


def node(name: str, ready: str) -> Node:
    """Give a node that reports itself so."""
    condition = Condition(type="Ready", status=ready)
    return Node(metadata=Metadata(name=name, uid=name), status=NodeStatus(conditions=(condition,)))


async def test_nodes_that_do_not_report_are_stale() -> None:
    business = Business()
    for name, ready in (("a", "True"), ("b", "Unknown"), ("c", "False")):
        business.cluster.caches.nodes.put(node(name, ready))
    seen = business.world.observer()
    assert (seen.nodes, seen.nodes_stale) == (3, 2)


async def test_services_that_fail_under_one_upstream_count_once() -> None:
    """E32: a database that is down is one trouble, however many services feel it."""
    texts = [
        service_text("database", priority=1),
        service_text("api", depends_on=("database",)),
        service_text(depends_on=("api",)),
        service_text("mail", priority=9),
    ]
    business = Business(known=catalog(*texts, rule_text(), ALERT_RULE, runbook_text()))
    assert business.world.observer() == Observer(sick=2, seen=4)


@pytest.mark.parametrize(("value", "reason"), [("a release", "a release"), ("", "no reason given")])
async def test_an_annotation_of_the_namespace_is_a_pause(value: str, reason: str) -> None:
    business = Business()
    meta = Metadata(name="production", annotations={"kintsugi.dev/paused": value})
    business.cluster.caches.namespaces.put(Namespace(metadata=meta))
    said = business.world.annotation_pause("production")
    assert said == f"paused by annotation kintsugi.dev/paused on namespace production: {reason}"
    assert business.world.annotation_pause("staging") == ""


async def test_the_good_templates_are_those_of_this_very_workload() -> None:
    business = Business()
    for workload, template in (("uid-web", "hash-1"), ("uid-web", "hash-2"), ("uid-other", "hash-3")):
        business.world.remember(
            (GoodRevision(workload=workload, template=template, number=1, first_good=moment(), last_good=moment()),)
        )
    assert business.world.good("web") == {"hash-1", "hash-2"}
    assert business.world.good("nothing") == frozenset()


async def test_a_service_does_not_wait_for_its_own_run() -> None:
    business = Business()
    held = business.world.hold(business.catalog.services["web"], business.catalog, frozenset({"web"}), moment())
    assert held is None


@pytest.mark.parametrize("mode", Mode)
async def test_the_global_mode_caps_the_rules(mode: Mode) -> None:
    business = Business(mode=mode)
    rule = business.catalog.rules["web-pods"]
    bound = plan(rule, business.catalog.services["web"], business.catalog, now=moment())
    assert business.world.claim(rule, bound, None, approved=False).mode is mode


@dataclass
class Alertmanager:
    """Says what is suppressed there, and counts how often it is asked."""

    quiet: frozenset[str] = frozenset()
    away: bool = False
    asked: int = 0

    async def suppressed(self) -> frozenset[str]:
        """Answer once."""
        self.asked += 1
        if self.away:
            raise ProbeFailed("Alertmanager cannot be asked")
        return self.quiet


@dataclass
class Keys:
    """Ten thousand alerts of one incident, and how many of them were read."""

    read: list[str] = field(default_factory=list)

    async def all(self) -> AsyncIterator[str]:
        """Yield them one by one."""
        for number in range(10_000):
            self.read.append(f"fp-{number}")
            yield self.read[-1]


@pytest.mark.parametrize(
    ("quiet", "read"),
    [(frozenset(), 0), (frozenset({"another"}), 1), (frozenset({"fp-0", "fp-1"}), 3)],
    ids=["nothing is silenced", "something else is", "two of them are"],
)
async def test_silences_are_asked_for_once_and_no_more_alerts_are_read_than_needed(
    quiet: frozenset[str], read: int
) -> None:
    """A19."""
    business, keys = Business(), Keys()
    business.world.silences = alertmanager = Alertmanager(quiet)
    assert await business.world.silence(keys.all()) == ""
    assert (alertmanager.asked, len(keys.read)) == (1, read)


async def test_all_of_ten_thousand_alerts_being_silenced_takes_one_question_to_alertmanager() -> None:
    """A19."""
    business, keys = Business(), Keys()
    business.world.silences = alertmanager = Alertmanager(frozenset(f"fp-{number}" for number in range(10_000)))
    assert "silenced" in await business.world.silence(keys.all())
    assert alertmanager.asked == 1


async def test_silences_that_cannot_be_asked_for_hold_changes() -> None:
    """P6, A19."""
    business = Business()
    business.world.silences = Alertmanager(away=True)
    assert "cannot be known" in await business.world.silence(Keys().all())
