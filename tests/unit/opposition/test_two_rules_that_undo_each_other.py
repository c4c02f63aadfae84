"""A change that takes back what another rule has just made is a person's to decide (E21)."""

from dataclasses import replace

import pytest

from kintsugi.actions.effect_plan import undone_by
from kintsugi.commands import parse
from kintsugi.decisions.admission import can_oppose, opposition
from kintsugi.model.command import Command
from kintsugi.model.history import MadeChange
from kintsugi.model.manual import MANUAL
from kintsugi.model.records import UndoRecord
from tests.unit.factories import moment

UP = "kubectl scale deployment/web --replicas=5 -n shop"
BACK = "kubectl scale deployment/web --replicas=2 --current-replicas=5 -n shop"


def made(text: str = UP, back: str = BACK, *, rule: str = "busy", run: str = "run-1", minutes: float = 0) -> MadeChange:
    """Return a change that a rule has made, and its way back."""
    return MadeChange(rule=rule, run=run, text=text, finished=moment(minutes=minutes), undo=undone_by(parse(back)))


def asked(text: str, *changes: MadeChange, rule: str = "idle") -> str:
    """Ask about a change of another run."""
    return opposition(parse(text), changes, rule=rule, run="run-9")


@pytest.mark.parametrize(("wanted", "opposes"), [(1, True), (2, True), (4, True), (5, False), (8, False)])
def test_a_rule_that_lowers_after_another_has_raised_opposes_it_however_far_it_goes(wanted: int, opposes: bool) -> None:
    assert bool(asked(f"kubectl scale deployment/web --replicas={wanted} -n shop", made())) is opposes


def test_the_refusal_says_which_rules_what_was_done_when_and_what_to_do() -> None:
    assert asked("kubectl scale deployment/web --replicas=2 -n shop", made()) == (
        "rules busy and idle contradict each other: run run-1 did `kubectl scale deployment/web --replicas=5 -n shop` at"
        f" {moment():%H:%M:%S}, and the new change would undo that change. Neither continues: remove one of the two, or limit their"
        " conditions so that only one of them applies"
    )


@pytest.mark.parametrize(
    ("done", "back", "wanted"),
    [
        ("kubectl cordon node-1", "kubectl uncordon node-1", "kubectl uncordon node-1"),
        (
            "kubectl rollout pause deployment/web -n shop",
            "kubectl rollout resume deployment/web -n shop",
            "kubectl rollout resume deployment/web -n shop",
        ),
        (
            "kubectl label deployment web tier=gold -n shop --overwrite",
            "kubectl label deployment web tier=tin -n shop --overwrite",
            "kubectl label deployment web tier=tin -n shop --overwrite",
        ),
    ],
)
def test_every_change_that_has_a_way_back_is_opposed_by_it_and_not_by_itself(done: str, back: str, wanted: str) -> None:
    assert asked(wanted, made(done, back))
    assert not asked(done, made(done, back))


@pytest.mark.parametrize(
    "change",
    [
        made(rule="idle"),
        made(rule=MANUAL),
        made(run="run-9"),
        made(UP.replace("web", "api"), BACK.replace("web", "api")),
        made("kubectl annotate deployment web tier=gold -n shop", "kubectl annotate deployment web tier- -n shop"),
        replace(made(), undo=None),
        replace(made(), undo=UndoRecord(commands=({"command": "Unheard"},))),
    ],
    ids=["its own", "a person's", "this run's", "another object's", "another thing's", "no way back", "not readable"],
)
def test_a_change_is_opposed_only_by_what_another_rule_has_done_to_its_object(change: MadeChange) -> None:
    assert not asked("kubectl scale deployment/web --replicas=2 -n shop", change)


def test_a_drain_opposes_an_uncordon_by_the_cordon_that_it_begins_with() -> None:
    """And an uncordon opposes a drain, whose way back it is."""
    uncordoned = made("kubectl uncordon node-1", "kubectl cordon node-1")
    assert asked("kubectl drain node-1 --ignore-daemonsets", uncordoned)
    assert can_oppose(parse("kubectl drain node-1"))
    assert not asked("kubectl drain node-2", uncordoned)
    assert not asked("kubectl drain node-1", made("kubectl cordon node-1", "kubectl uncordon node-1"))
    assert asked("kubectl uncordon node-1", made("kubectl drain node-1", "kubectl uncordon node-1"))


def test_a_run_that_a_person_starts_by_hand_opposes_no_rule() -> None:
    assert not asked("kubectl scale deployment/web --replicas=2 -n shop", made(), rule=MANUAL)


def test_the_newest_change_of_an_object_counts() -> None:
    """One who has agreed since is the last to have spoken."""
    down = made(
        "kubectl scale deployment/web --replicas=2 -n shop",
        "kubectl scale deployment/web --replicas=5 --current-replicas=2 -n shop",
        rule="third",
        minutes=1,
    )
    assert not asked("kubectl scale deployment/web --replicas=1 -n shop", made(), down)
    assert "rules third and idle" in asked(UP, made(), down)


def test_a_change_of_which_nothing_is_known_yet_is_opposed_by_nothing() -> None:
    nothing: Command | None = None
    assert not opposition(nothing, [made()], rule="idle", run="run-9")


@pytest.mark.parametrize(
    ("text", "can"),
    [
        (UP, True),
        ("kubectl cordon node-1", True),
        ("kubectl rollout pause deployment/web -n shop", True),
        ("kubectl annotate deployment web tier=gold -n shop", True),
        ("kubectl delete pod web-1 -n shop", False),
        ("kubectl rollout restart deployment/web -n shop", False),
    ],
)
def test_only_what_can_be_taken_back_by_another_change_is_asked_about(text: str, can: bool) -> None:
    assert can_oppose(parse(text)) is can
