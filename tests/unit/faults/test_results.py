"""How a row of docs/faults.md and its end are judged, and what a move is about."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource
from tests.faults import end_results, page, results
from tests.faults.ends import Write, of_upstream, without_change, wrongly_written
from tests.faults.judge import Judgement, Named, expected_of
from tests.faults.moves import program_of
from tests.faults.results import Result, table

DEPLOYMENT = "deployment/api-deployment"
IMAGE = "containers[api].image"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def cause(
    kind: CauseKind = CauseKind.CONTAINER_EXIT,
    object_: str = DEPLOYMENT,
    field: str = IMAGE,
    confidence: Confidence = Confidence.LIKELY,
) -> Cause:
    """Return a cause, with evidence."""
    seen = EvidenceItem(source=EvidenceSource.FIELD, object=object_, field=field, text="")
    return Cause(kind=kind, object=object_, field=field, confidence=confidence, text="", evidence=(seen,))


def judged(id_: str, *causes: Cause, expected: Named, certain: tuple[Named, ...] = (), broken: str = "") -> Judgement:
    """Return the judgement of a row whose last diagnosis has these causes."""
    last = Diagnosis(object=DEPLOYMENT, namespace="production", at=NOW, summary="", causes=causes)
    judgement = Judgement(row=page.row(id_), expected=expected, broken=broken, last=last, certain=set(certain))
    judgement.conclude()
    return judgement


BAD_VERSION: Named = ("ContainerExit", DEPLOYMENT, IMAGE)
NO_CAUSE: Named = ("-", "-", "")


def test_a_row_is_right_where_the_first_cause_is_its_own() -> None:
    assert judged("bad-version", cause(), expected=BAD_VERSION).right


def test_a_row_s_cause_is_about_the_pod_that_was_broken_or_about_no_object_at_all() -> None:
    assert expected_of(page.row("one-pod-crashes"), "web-1") == ("ContainerExit", "pod/web-1", "containers[web]")
    assert expected_of(page.row("observer-dns-down")) == ("Observer", "", "")
    assert expected_of(page.row("good-rollout")) == NO_CAUSE


@pytest.mark.parametrize(
    "other",
    [
        cause(CauseKind.IMAGE_PULL),
        cause(object_="pod/a"),
        cause(field="containers[api].command"),
        cause(confidence=Confidence.CERTAIN),
    ],
    ids=["another kind", "another object", "another field", "surer than the row"],
)
def test_a_row_is_wrong_where_the_first_cause_is_another_or_is_surer_than_the_row(other: Cause) -> None:
    assert not judged("bad-version", other, cause(), expected=BAD_VERSION).right
    assert not judged("bad-version", expected=BAD_VERSION).right


def test_a_cause_that_was_called_certain_at_any_time_is_the_row_s_own() -> None:
    """Of another field of the same object it may have been said before all was known."""
    other: Named = ("ImagePull", DEPLOYMENT, IMAGE)
    wrong = judged("bad-version", cause(), expected=BAD_VERSION, certain=(other,))
    assert not wrong.right
    assert Result.of(wrong.row.id, wrong).falsely_certain
    assert judged("bad-version", cause(), expected=BAD_VERSION, certain=(("ContainerExit", DEPLOYMENT, ""),)).right


def test_a_pod_that_recovers_may_be_called_wrong_until_it_has_and_no_other_may() -> None:
    unready: Named = ("ReadinessProbe", "pod/a", "containers[http].readinessProbe")
    assert judged("process-hangs-once", expected=NO_CAUSE, certain=(unready,), broken="pod/a").right
    assert not judged("process-hangs-once", expected=NO_CAUSE, certain=(unready,), broken="pod/b").right


def test_the_table_counts_what_is_right_and_what_was_falsely_certain() -> None:
    found = [
        judged("bad-version", cause(), expected=BAD_VERSION),
        judged("image-not-found", cause(), expected=NO_CAUSE, certain=(("Node", "node/a", ""),)),
    ]
    written = table({each.row.id: Result.of(each.row.id, each) for each in found})
    assert "of 2 rows that were run the cause of 1 is right; a wrong cause was called certain in 1" in written
    assert (
        "| bad-version | `ContainerExit` `deployment/api-deployment` `containers[api].image` | likely | yes |"
        in written
    )


def test_the_page_is_read_as_it_is_written() -> None:
    """A command, a move and a control; what is expected of them."""
    row = page.row("image-registry-busy")
    assert row.commands[0] == "@registry parcel:2 429 for 60s"
    assert (row.application, row.service, row.moves) == ("parcels", "consignments", frozenset({"@registry"}))
    assert (row.cause, row.object, row.field, row.confidence) == (
        "ImagePull",
        "deployment/consignments",
        "containers[app].image",
        "certain",
    )
    assert page.workloads()["scanner"] == "daemonset/scanner"
    assert page.row("scaled-up").commands == ("kubectl scale deployment pricing --replicas=4",)
    assert page.several()["two-services"] == ("image-not-found", "configmap-deleted")


def test_the_results_of_the_page_are_read_as_they_are_written() -> None:
    assert table(results.of_page()) in page.text()
    assert end_results.table(end_results.of_page()) in page.text()


def test_a_cause_of_several_faults_at_a_time_may_be_certain_beside_the_one_that_comes_first() -> None:
    expected, blocked = ("Node", "node/node-2", ""), ("DisruptionBudget", "poddisruptionbudget/reception", "spec")
    first = cause(CauseKind.NODE, "node/node-2", "")
    alone = judged("node-without-network", first, expected=expected, certain=(blocked,))
    assert alone.problems == ["falsely certain of DisruptionBudget poddisruptionbudget/reception spec"]
    together = replace(alone, beside=page.named_beside()["move-forbidden-by-budget"], problems=[])
    together.conclude()
    assert together.right


def test_a_cause_that_a_row_names_besides_may_be_certain() -> None:
    paused = ("PausedRollout", "deployment/reception", "spec.paused")
    first = cause(CauseKind.PAUSED_ROLLOUT, *paused[1:])
    unready = ("ReadinessProbe", "pod/reception-1", "containers[http].readinessProbe")
    assert judged("rollout-paused-and-unready", first, expected=paused, certain=(unready,)).right
    assert not judged("rollout-paused-and-unready", first, expected=paused, certain=(BAD_VERSION,)).right


DELETE: Write = ("delete", "pods")
UNDO: Write = ("patch", "deployments")


@pytest.mark.parametrize(
    ("id_", "writes"),
    [
        ("one-pod-crashes", (DELETE,)),
        ("image-not-found", (UNDO,)),
        ("bad-version-of-statefulset", (("patch", "statefulsets"), DELETE)),
        ("scaled-to-zero", (UNDO,)),
        ("hanging-for-ever", (DELETE,)),
        ("routes-wrong", ()),
        ("configmap-deleted", ()),
        ("killed-once", ()),
    ],
)
def test_a_rung_may_write_what_it_needs(id_: str, writes: tuple[Write, ...]) -> None:
    row = page.row(id_)
    assert wrongly_written(row, page.workloads()[row.service], writes) == []


@pytest.mark.parametrize(
    ("id_", "writes", "problem"),
    [
        ("one-pod-crashes", (DELETE, DELETE), "wrote delete pods 2 times"),
        ("one-pod-crashes", (DELETE, UNDO), "wrote patch deployments"),
        ("image-not-found", (), "did not write patch deployments"),
        ("image-not-found", (UNDO, DELETE), "wrote delete pods"),
        ("hanging-for-ever", (DELETE, DELETE), "wrote delete pods 2 times"),
        ("configmap-deleted", (DELETE,), "wrote delete pods"),
        ("killed-once", (DELETE,), "wrote delete pods"),
        ("good-rollout", (UNDO,), "wrote patch deployments"),
    ],
)
def test_a_write_that_is_none_of_the_end_s_is_told(id_: str, writes: tuple[Write, ...], problem: str) -> None:
    row = page.row(id_)
    assert wrongly_written(row, page.workloads()[row.service], writes) == [problem]


@pytest.mark.parametrize(
    ("id_", "of", "end", "about"),
    [
        ("upstream-at-zero", "parcels depot", "healed: scale-back", "statefulset/depot"),
        ("database-hangs", "shop database", "healed: restart-pod", page.NONE),
    ],
)
def test_an_upstream_that_is_healed_for_a_row_has_an_end_of_its_own(id_: str, of: str, end: str, about: str) -> None:
    found = of_upstream(page.row(id_))
    assert found is not None
    assert (found.of, found.end, found.object) == (of, end, about)


def test_a_row_of_one_service_has_no_end_of_an_upstream() -> None:
    assert of_upstream(page.row("image-not-found")) is None


@pytest.mark.parametrize(
    ("container", "application", "program"),
    [
        ("postgres", "shop", "postgres"),
        ("redis", "shop", "redis-server"),
        ("api", "shop", "shop"),
        ("http", "parcels", "parcel"),
    ],
)
def test_the_program_that_is_hung_is_the_one_of_the_pod(container: str, application: str, program: str) -> None:
    assert program_of({"spec": {"containers": [{"name": container}]}}, application) == program


@pytest.mark.parametrize(
    ("offered", "judged"),
    [
        ("kubectl scale deployment/web -n shop --replicas=0", "scale deployment/web -n shop --replicas=0 --dry-run=server"),
        ("kubectl edit configmap/settings -n shop", "get configmap/settings -n shop"),
        ("kubectl rollout restart deployment/web -n shop", "get deployment/web -n shop"),
        ("kubectl rollout undo deployment/web --to-revision=3 -n shop", "rollout undo deployment/web --to-revision=3 -n shop --dry-run=server"),
        ("helm rollback stamps -n shop", None),
    ],
)  # fmt: skip
def test_what_a_person_is_offered_is_judged_without_a_change(offered: str, judged: str | None) -> None:
    words = without_change(offered)
    assert (" ".join(words) if words is not None else None) == judged
