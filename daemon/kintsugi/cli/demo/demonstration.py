"""
The demonstration: a web service with three faults and its API with one, a database that is restored, and a stack of five services.

Each cluster is embedded, the daemon on it is as it runs in production. Real programs on a cluster need time to start:
they start while earlier parts are played.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from kintsugi.cli.demo import database_scene, stack_scenes, web_scenes
from kintsugi.cli.demo.narration import Narrator
from kintsugi.cli.demo.part import DemoPart
from kintsugi.cli.demo.scene import SceneOutcome, perform
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.stage import TIMEOUT
from kintsugi.cli.demo.teller import Teller
from kintsugi.errors import KintsugiError
from kintsugi.kube.steady_clock import wall_clock
from kubesim import EmbeddedCluster, KubesimError
from kubesim.postgres import PostgresMissing
from kubesim.s3 import S3Missing

PARTS: Sequence[DemoPart] = (web_scenes.PART, database_scene.PART, *stack_scenes.PARTS)


async def play(
    *,
    folder: Path,
    catalog: Path | None,
    teller: Teller,
    wanted: Collection[SceneName] = tuple(SceneName),
    within: timedelta = TIMEOUT,
) -> list[SceneOutcome]:
    """
    Play scenes in order, each narrated as it happens, up to the first unexpected end; return their outcomes.

    `folder` keeps the ledgers; `within` is the time limit of one scene. Raises KintsugiError when the stage cannot be
    set: a catalog with mistakes, a service that never becomes healthy, a program that is not installed.
    """
    parts = [each for each in (part.only(wanted) for part in PARTS) if each.scenes]
    outcomes: list[SceneOutcome] = []
    async with AsyncExitStack() as open_clusters:
        open_clusters.enter_context(translated_errors())
        places = {part.place: part for part in reversed(parts)}
        clusters = await started(places, open_clusters)
        tasks = {
            place: asyncio.create_task(part.furnish(clusters[place], folder / place), name=f"furnish {place}")
            for place, part in places.items()
        }
        open_clusters.push_async_callback(cancelled, tuple(tasks.values()))
        for part in parts:
            if not tasks[part.place].done():
                teller.write(f"\nWaiting for {part.about} to start.")
            await tasks[part.place]
            outcomes += await play_part(part, clusters[part.place], folder / part.name, catalog, teller, within)
            if not outcomes[-1].as_wanted:
                break
    return outcomes


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise KintsugiError for what the embedded cluster complains of."""
    try:
        yield
    except (PostgresMissing, S3Missing) as error:
        raise KintsugiError(f"{error}; for the whole demonstration: pip install 'kintsugi-daemon[demo]'") from error
    except KubesimError as error:
        raise KintsugiError(str(error)) from error


async def started(places: Mapping[str, DemoPart], opened: AsyncExitStack) -> Mapping[str, EmbeddedCluster]:
    """Start the cluster of each place, once it is sure that the programs of all of them are there."""
    images = {place: part.images() for place, part in places.items()}
    return {
        place: await opened.enter_async_context(EmbeddedCluster.start(speed=part.speed, images=images[place]))
        for place, part in places.items()
    }


async def cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """End what is still under way."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def play_part(
    part: DemoPart, cluster: EmbeddedCluster, folder: Path, catalog: Path | None, teller: Teller, within: timedelta
) -> list[SceneOutcome]:
    """Let a daemon of its own watch the cluster, and play the scenes of a part up to the first that does not end as expected."""
    outcomes: list[SceneOutcome] = []
    async with part.watch(cluster, folder, catalog, teller) as stage:
        teller.write(f"\nKintsugi watches {part.about}. Every duration is multiplied by {part.factor:g}.")
        teller.write(f"  Kintsugi waits for a good revision of each of {', '.join(stage.services)}.")
        await stage.known_good()
        narrator = Narrator(
            ledger=stage.core.ledger, write=teller.write, began=wall_clock(), names_services=part.names_services
        )
        for scene in part.scenes:
            outcomes.append(await perform(scene, stage, narrator, within))
            if not outcomes[-1].as_wanted:
                break
    return outcomes
