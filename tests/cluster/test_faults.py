"""
The rows of docs/faults.md on a real cluster: each fault is made as the page says, and its cause, object and field are named.

The first row of each cause that can be run is run always, all of them with KINTSUGI_ALL_FAULTS=1, and with KINTSUGI_FAULTS="ID ID" those
alone, also such as are not run otherwise. KINTSUGI_FAULTS_SHARE="1/2" takes every second row, "2/2" the others.
"""

import os
from collections.abc import Iterator

import pytest

from tests.faults import page
from tests.faults.beside import Beside, beside
from tests.faults.judge import judge, until_well
from tests.faults.not_run import NOT_RUN
from tests.faults.perform import Performance
from tests.faults.results import Results
from tests.faults.stage import Stage, stage
from tests.harness import cluster as clusters
from tests.harness import tiers
from tests.harness.cluster import RealCluster
from tests.harness.parts import obstacle as missing_parts

pytestmark = pytest.mark.cluster

NAMED = os.environ.get("KINTSUGI_FAULTS", "").split()
ALL = bool(os.environ.get("KINTSUGI_ALL_FAULTS"))
RUN = [each.id for each in page.rows() if each.id not in NOT_RUN]
FIRST = [
    next(iter(found))
    for cause in page.causes()
    if (found := [each.id for each in page.rows() if each.cause == each.table == cause and each.id in RUN])
]
CONTROLS = [each.id for each in page.controls() if each.id not in NOT_RUN]
SEVERAL = [each for each in page.several() if each not in NOT_RUN]
SHARE, _, OF = os.environ.get("KINTSUGI_FAULTS_SHARE", "1/1").partition("/")
CHOSEN = NAMED or ([*RUN, *CONTROLS, *SEVERAL] if ALL else FIRST)[int(SHARE) - 1 :: int(OF)]


@pytest.fixture(scope="module")
def stage_of_faults(cluster: RealCluster) -> Iterator[Stage]:
    """Yield where faults are made."""
    if not cluster.ours:
        pytest.skip(f"{clusters.KUBECONFIG} names a lent cluster, whose node and names are left alone")
    reason = tiers.obstacle() or missing_parts("parcel") or missing_parts("coredns")
    if reason:
        pytest.skip(reason)
    with stage(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    """Yield where results are written down; the table is printed in the end."""
    found = Results()
    yield found
    print(found.table())


@pytest.fixture(scope="module")
def observer(stage_of_faults: Stage) -> Iterator[Beside]:
    """Yield a daemon that only looks: it knows what each service depends on, and asks its checks."""
    with beside(stage_of_faults, mode="observe") as made:
        yield made


@pytest.mark.parametrize("id_", CHOSEN)
def test_each_cause_is_named_and_what_is_no_fault_has_none(
    stage_of_faults: Stage, results: Results, observer: Beside, id_: str
) -> None:
    ids = page.several().get(id_)
    named(stage_of_faults, results, observer, *(ids or (id_,)), several=id_ if ids else "")


def named(stage: Stage, results: Results, observer: Beside, *ids: str, several: str = "") -> None:
    """Make faults together, and hold the diagnosis of each service to its row; then have everything as before."""
    first = page.coming_first().get(several)
    rows = [page.row(each) for each in ids]
    try:
        made = [Performance(stage, each) for each in rows]
        for each in made:
            until_well(each, observer.diagnose)
        before = [each.application.fingerprint() for each in made]
        for each in made:
            each.run()
        for command in page.commands_beside().get(several, ()):
            made[0].add(command)
        judged = [
            judge(observer.diagnose, each, then, beside=page.named_beside().get(several, frozenset()))
            for each, then in zip(made, before, strict=True)
            if first in (None, each.row.id)
        ]
        for judgement in judged:
            print(judgement)
        results.add(several or ids[0], *judged)
        assert observer.writes() == [], "who observes writes nothing"
        assert all(each.right for each in judged), [(each.problems, each.last) for each in judged]
    finally:
        stage.restore()
