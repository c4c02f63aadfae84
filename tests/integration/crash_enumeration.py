"""
All crash points of a scene: its daemon is killed at each, many stories at once, and every end is compared.

A story dies again and again: each life of its daemon ends at the first of the story's points that it passes, so that a dozen
points cost one cluster and one walk. The points of one story are far apart; where it died twice in one step, all the better.

The watch commits beside the run, and how many commits it needs for what ends hangs on chance: the same number may be another
point the next time. So points are aimed at by their names. Those that only a daemon passes which was started again are aimed
at, too: it dies where it did before, and then there.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kintsugi.model.records import StepState
from tests.integration.crash_daemon import EFFECT_FIRST
from tests.integration.crash_story import CrashRepetition, CrashScene, tell

AT_ONCE = 8
"""Stories under way at one time: with more of them each daemon lives longer until its point, and looks more often."""

BY_CHANCE = frozenset(
    {
        "accept",
        "keep-template",
        "note-counts",
        "note-good",
        "note-replicas",
        "save-conditions",
        "save-outages",
        "settle",
    }
)
"""Commits of the watch and of the clock, which put into one what is seen at one time: there are now more, now fewer."""

AGAIN = "request-run"
"""A signal that is held or refused is claimed for again and again: only the first claim is there every time."""

BEGUN = StepState.PLANNED.value
"""The begin of a step waits a moment for another commit. If the step ends meanwhile, only its end is written."""


def is_sure(point: str) -> bool:
    """Return whether a story passes a point every time that it comes to where it is."""
    _, _, what, *rest = point.split()
    return what not in BY_CHANCE and BEGUN not in rest and not (what == AGAIN and rest != ["1"])


@dataclass(kw_only=True)
class Enumeration:
    """
    The stories of one scene in which the daemon was killed, compared with the one in which it was not.

    A story dies at about `deaths` points. `begins` is the first of the undisturbed story's points that counts, "" for all.
    `seen` has the points that any story passed, in the order of their appearance, each with the death before it, "" for none.
    """

    scene: CrashScene
    folder: Path
    undisturbed: CrashRepetition
    deaths: int
    begins: str = ""
    died_at: set[str] = field(default_factory=set)
    seen: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    stories: int = 0

    def __post_init__(self) -> None:
        self.seen.update(dict.fromkeys(self.own, ""))

    @property
    def own(self) -> Sequence[str]:
        """Name the points of the undisturbed story, from the one on that counts."""
        (points,) = self.undisturbed.lives
        return points[points.index(self.begins) if self.begins else 0 :]

    @property
    def missed(self) -> Sequence[str]:
        """Name the points that some story passed and nobody has died at."""
        return [point for point in self.seen if point not in self.died_at]

    async def everywhere(self) -> None:
        """Die at every point that any story passes; where one dies but once, at those that an undisturbed one may pass."""
        await self.at(deal([[point] for point in self.own if is_sure(point)], self.deaths))
        missed = [point for point in self.missed if is_sure(point)]
        # A name's number counts in one life: what is passed a second time there is for a story that has not died before.
        alone = [[point] for point in missed if not self.seen[point]]
        by_chance = deal([[point] for point in self.missed if not is_sure(point)], self.deaths)
        again = deal(self._after_a_death(missed), max(self.deaths // 3, 1)) if self.deaths > 1 else ()
        await self.at([*alone, *by_chance, *again])

    def _after_a_death(self, points: Iterable[str]) -> Sequence[Sequence[str]]:
        """Group points by the death that led to them, which comes first."""
        led_to: dict[str, list[str]] = defaultdict(list)
        for point in points:
            if self.seen[point]:
                led_to[self.seen[point]].append(point)
        return [[death, *then] for death, then in led_to.items()]

    async def at(self, stories: Iterable[Sequence[str]]) -> None:
        """Run stories, many at once; each dies at its points."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(points: Sequence[str], folder: Path) -> None:
            async with gate:
                self._compare(await tell(self.scene.daemon(folder, kill_at=points), self.scene))

        await asyncio.gather(*(one(points, self._next_folder()) for points in stories))

    def check(self, expected: Collection[str] | None = None) -> None:
        """Say what was done; every end must be the same, and each expected point died at: without any, the sure ones."""
        print(self.summary())
        assert not self.complaints, "\n".join(self.complaints)
        # Points that only a disturbed story passes (another signal's claim) are aimed at, too, and told in the summary.
        wanted = [point for point in self.own if is_sure(point)] if expected is None else expected
        assert [point for point in self.missed if point in wanted] == []

    def summary(self) -> str:
        """Return how many points there are, and how many stories it took to die at them."""
        numbers = f"N = {len(self.own)} crash points, died at {len(self.died_at)} in {self.stories} stories"
        return f"{self.scene.title}: {numbers}; passed only now and then, and never died at: {self.missed or 'none'}"

    def _next_folder(self) -> Path:
        self.stories += 1
        return self.folder / f"story-{self.stories}"

    def _compare(self, telling: CrashRepetition) -> None:
        for death, life in zip(telling.died_at, telling.lives[1:], strict=False):
            for point in life if is_sure(death) else ():
                self.seen.setdefault(point, death)
        self.died_at.update(telling.died_at)
        different = self.undisturbed.end.differences(telling.end)
        if different:
            self.complaints.append(f"killed {', '.join(telling.died_at) or 'nowhere'}: {'; '.join(different)}")


async def complains_of_late_intents(scene: CrashScene, folder: Path, point: str) -> None:
    """See that where intents are committed after their effects, a death in between is told from an undisturbed end."""
    right, undisturbed, killed = await asyncio.gather(
        tell(scene.daemon(folder / "right"), scene),
        tell(scene.daemon(folder / "undisturbed", **EFFECT_FIRST), scene),
        tell(scene.daemon(folder / "killed", kill_at=[point], **EFFECT_FIRST), scene),
    )

    assert right.end.differences(undisturbed.end) == []
    assert killed.died_at == [point]
    assert right.end.differences(killed.end) != []


def deal(deaths: Sequence[Sequence[str]], most: int) -> Sequence[Sequence[str]]:
    """Deal deaths out to as few stories as may be, at most so many to each and neighbours to different ones."""
    stories = -(-len(deaths) // most)
    return [[point for death in deaths[first::stories] for point in death] for first in range(stories)]
