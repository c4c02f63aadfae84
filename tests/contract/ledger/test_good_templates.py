"""The last good template of each workload: one a workload, however often that is made anew, and for as long as its good revision."""

from dataclasses import replace
from datetime import timedelta

from kintsugi.ledger import Ledger
from kintsugi.ledger.retention import RetentionTerms
from kintsugi.ledger.workloads import LARGEST
from kintsugi.model.known import GoodRevision
from tests.contract.ledger.build import HOUR, NOW, good_template

DAY = timedelta(days=1)
WEB = good_template()


async def test_a_template_is_found_by_the_name_of_its_workload_and_as_it_was_kept(ledger: Ledger) -> None:
    others = [replace(WEB, kind="statefulset"), replace(WEB, namespace="other"), replace(WEB, name="api")]
    for each in (WEB, *others):
        assert await ledger.templates.keep(replace(each, document=f"{each.document} "))
    assert await ledger.templates.last("deployment", "shop", "web") == replace(WEB, document=f"{WEB.document} ")
    assert await ledger.templates.last("deployment", "shop", "db") is None


async def test_the_newest_good_template_takes_the_place_of_the_one_before(ledger: Ledger) -> None:
    newer = replace(WEB, workload="uid-2", template="def", number=1, seen=NOW + HOUR, withheld="")
    await ledger.templates.keep(WEB)
    await ledger.templates.keep(newer)
    assert await ledger.templates.last("deployment", "shop", "web") == newer


async def test_a_template_that_is_too_large_is_not_kept_nor_is_the_one_before(ledger: Ledger) -> None:
    await ledger.templates.keep(WEB)
    assert not await ledger.templates.keep(replace(WEB, template="def", document="x" * LARGEST))
    assert await ledger.templates.last("deployment", "shop", "web") is None


async def test_a_template_is_forgotten_with_its_good_revision(ledger: Ledger) -> None:
    """D10: what is there, or was good not long ago, stays however long ago it was kept."""
    long_ago = NOW - 200 * DAY
    for name, last_good in {"gone": 100, "just-gone": 10, "there": 100}.items():
        then = NOW - last_good * DAY
        good = GoodRevision(workload=f"uid-{name}", template="abc", number=3, first_good=long_ago, last_good=then)
        await ledger.revisions.note_good([good])
        await ledger.templates.keep(replace(WEB, name=name, workload=f"uid-{name}", seen=long_ago))
    terms = RetentionTerms(workloads={"uid-there"})
    assert await ledger.retention.prune(NOW - 90 * DAY, NOW, kept=RetentionTerms(workloads=None)) == 0
    assert await ledger.retention.prune(NOW - 90 * DAY, NOW, kept=terms) == 2
    left = [name for name in ("gone", "just-gone", "there") if await ledger.templates.last("deployment", "shop", name)]
    assert left == ["just-gone", "there"]


async def test_a_good_revision_is_forgotten_with_its_template_and_no_other(ledger: Ledger) -> None:
    """Else a rollback to the template that is kept would go back to what has failed by itself."""
    await ledger.templates.keep(WEB)
    await ledger.revisions.forget_good(WEB.workload, "another")
    assert await ledger.templates.last("deployment", "shop", "web") == WEB
    await ledger.revisions.forget_good(WEB.workload, WEB.template)
    assert await ledger.templates.last("deployment", "shop", "web") is None
