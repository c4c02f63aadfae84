"""
All crash points of a story: its daemon is killed at each, many stories at once, and every end is compared.

The watch commits beside the run, and how many commits it needs for what ends hangs on chance: the same number may be another
point the next time. So points are aimed at by their names, and those that only some stories pass are aimed at, too.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.crash_story import Scene, Telling, tell

AT_ONCE = 16
"""Stories under way at one time; most of each is waiting."""

ATTEMPTS = 2
"""How often a point is aimed at that the story does not always pass."""


@dataclass(kw_only=True)
class Enumeration:
    """The stories of one scene in which the daemon was killed, compared with the one in which it was not."""

    scene: Scene
    folder: Path
    undisturbed: Telling
    died_at: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    stories: int = 0

    def __post_init__(self) -> None:
        self.seen.update(self.undisturbed.points)

    @property
    def missed(self) -> Collection[str]:
        """Name the points that some story passed and nobody has died at."""
        return self.seen - self.died_at

    async def everywhere(self) -> None:
        """Die at every point that any story passes."""
        for _ in range(ATTEMPTS):
            await self.at(sorted(self.missed))

    async def at(self, points: Iterable[str]) -> None:
        """Die at each of these points, many at once."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(point: str, folder: Path) -> None:
            async with gate:
                birth = self.scene.birth(folder, kill_at=point)
                self._compare(await tell(birth, self.scene))

        await asyncio.gather(*(one(point, self._next_folder()) for point in points))

    def summary(self) -> str:
        """Say how many points there are, and how many stories it took to die at them."""
        numbers = (
            f"N = {len(self.undisturbed.points)} crash points, died at {len(self.died_at)} in {self.stories} stories"
        )
        return f"{self.scene.title}: {numbers}; passed only now and then, and never died at: {sorted(self.missed) or 'none'}"

    def _next_folder(self) -> Path:
        self.stories += 1
        return self.folder / f"story-{self.stories}"

    def _compare(self, telling: Telling) -> None:
        self.seen.update(telling.points)
        if telling.killed:
            self.died_at.add(telling.points[-1])
        different = self.undisturbed.end.differences(telling.end)
        if different:
            self.complaints.append(
                f"killed {telling.points[-1] if telling.killed else 'nowhere'}: {'; '.join(different)}"
            )
