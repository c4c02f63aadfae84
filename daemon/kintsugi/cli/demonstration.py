"""
The demonstration: a web service with three faults, then a database whose data are damaged and restored from a backup.

Each part has an embedded cluster of its own, and the daemon as it runs in production. The second one's programs are real
and take their time to start: they do so while the first part is played.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from kintsugi.cli import database_scene, web_scenes
from kintsugi.cli.narration import Narrator, Say
from kintsugi.cli.stage import PATIENCE, Outcome, Scene, Stage, perform
from kintsugi.kube.steady_clock import wall_clock
from kintsugi.rehearsal import EmbeddedCluster


async def play(*, folder: Path, catalog: Path | None, say: Say, patience: timedelta = PATIENCE) -> list[Outcome]:
    """
    Play the scenes, each told as it happens, up to the first that does not end as it should, and give their outcomes.

    `folder` keeps the ledgers; `patience` is how long one scene may take. Raises KintsugiError when the stage cannot be
    set: a catalog with mistakes, a service that never becomes healthy, a program that is not installed.
    """
    images = database_scene.images()
    async with (
        EmbeddedCluster.start(speed=web_scenes.SPEED) as web,
        EmbeddedCluster.start(speed=database_scene.SPEED, images=images) as database,
    ):
        furnishing = asyncio.create_task(database_scene.furnish(database, folder))
        try:
            async with web_scenes.set_stage(web, folder, catalog, say) as stage:
                say(
                    f"A cluster with the shop in it is up; Kintsugi watches, every duration times {web_scenes.FACTOR:g}."
                )
                outcomes = await perform_all(web_scenes.SCENES, stage, patience)
            if not all(each.as_wanted for each in outcomes):
                return outcomes
            await furnishing
        finally:
            furnishing.cancel()
            await asyncio.wait([furnishing])
        async with database_scene.set_stage(database, folder, catalog, say) as stage:
            say(f"\nA cluster with a real PostgreSQL in it is up, every duration times {database_scene.FACTOR:g}.")
            return outcomes + await perform_all([database_scene.SCENE], stage, patience)


async def perform_all(scenes: Sequence[Scene], stage: Stage, patience: timedelta) -> list[Outcome]:
    """Play scenes one after the other on one stage, up to the first that does not end as it should."""
    await stage.healthy()
    narrator = Narrator(ledger=stage.core.ledger, say=stage.say, began=wall_clock())
    outcomes: list[Outcome] = []
    for scene in scenes:
        outcomes.append(await perform(scene, stage, narrator, patience))
        if not outcomes[-1].as_wanted:
            break
    return outcomes
