"""
Plays scenes, cluster by cluster, and judges their ends by what the daemon's API answers.
"""

import asyncio
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import mkdtemp

from kintsugi.cli.client import DaemonClient
from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit, print_indented, took
from kintsugi.cli.shutdown import run_until_signal
from kintsugi.cli.tables import first_line
from kintsugi.errors import KintsugiError
from kintsugi.model.api_types import AnswerRequest
from kintsugi.model.questions import Answer
from kintsugi.model.records import Incident, IncidentState
from kintsugi.telemetry import configure_logging
from kintsugi_demo import SHOWS, SceneName
from kintsugi_demo.narration import Narrator, SceneOutcome, Writer, print_table, summary
from kintsugi_demo.scenes import SCENES, DemoScene, Incidents
from kintsugi_demo.stage import TIMEOUT, WHO, DemoStage, furnished, wait_until, watched
from kubesim import KubesimError

POLL_SECONDS = 0.3


async def demonstrate(
    wanted: Collection[SceneName], *, keep: bool, catalog: Path | None, output: OutputFormat
) -> ExitCode:
    """Play scenes until their end or a signal, and show how they ended; beside the result where that is JSON."""
    configure_logging(level="error")
    folder = Path(mkdtemp(prefix="kintsugi-demo-"))
    outcomes: list[SceneOutcome] = []
    write = print_indented if output is OutputFormat.TEXT else print_note

    async def perform() -> None:
        outcomes.extend(await play(wanted, folder=folder, catalog=catalog, write=write))

    try:
        await run_until_signal(perform())
    except KubesimError as error:
        raise KintsugiError(f"the embedded cluster failed: {error}") from error
    finally:
        if keep:
            print_note(f"the ledgers are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if outcomes and output is OutputFormat.JSON:
        emit({"scenes": outcomes})
    elif outcomes:
        print_table(outcomes)
    return verdict(outcomes)


def verdict(outcomes: Sequence[SceneOutcome]) -> ExitCode:
    """Return whether there were scenes, and each ended as expected."""
    return ExitCode.DONE if outcomes and all(each.as_wanted for each in outcomes) else ExitCode.FINDINGS


async def play(
    wanted: Collection[SceneName] = tuple(SceneName),
    *,
    folder: Path,
    catalog: Path | None,
    write: Writer,
    within: timedelta = TIMEOUT,
) -> list[SceneOutcome]:
    """
    Play scenes in order, each narrated as it happens, up to the first unexpected end; return their outcomes.

    `folder` keeps the ledgers; `within` is the time limit of one scene. Raises KintsugiError when the stage cannot be
    set: a catalog with mistakes, a service that never becomes healthy, a program that is not installed.
    """
    scenes = [each for each in SCENES if each.name in wanted]
    outcomes: list[SceneOutcome] = []
    try:
        for scene in scenes:
            scene.on.images()  # a program that is missing is missed before the first scene
    except KubesimError as error:
        raise KintsugiError(f"{error}; for the whole demonstration: pip install 'kintsugi-daemon[demo]'") from error
    for cluster, played in groupby(scenes, key=lambda scene: scene.on):
        write(f"Waiting for {cluster.about} to start.")
        async with (
            furnished(cluster) as started,
            watched(started, cluster, folder=folder / cluster.name, catalog=catalog, write=write) as stage,
        ):
            write(f"Kintsugi watches the cluster. Every duration is multiplied by {cluster.factor:g}.")
            good = f"a good revision of each of {', '.join(cluster.services)}"
            write(f"Kintsugi waits for {good}.")
            await wait_until(stage.is_known_good, good)
            for scene in played:
                outcomes.append(await perform(scene, stage, within))
                if not outcomes[-1].as_wanted:
                    return outcomes
        write("")
    return outcomes


async def perform(scene: DemoScene, stage: DemoStage, within: timedelta) -> SceneOutcome:
    """Break something and narrate the events until all incidents are closed, or the time is over."""
    stage.write("")
    stage.write(f"{scene.name}: {SHOWS[scene.name]}.")
    stage.write(f"  The scene lasts until all incidents are closed, {took(within)} at most.")
    began = datetime.now(UTC)
    narrator = Narrator(write=stage.write, began=began)
    incidents: Incidents = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await scene.break_it(stage)
            while True:
                services = await stage.services()
                incidents = await stage.incidents(began)
                narrator.show(services.values(), incidents.values())
                if is_over(scene, incidents, all_well=all(each.healthy for each in services.values())):
                    break
                await answer(scene, stage, incidents)
                await asyncio.sleep(POLL_SECONDS)
    outcome = await outcome_of(scene, stage, incidents, began)
    stage.write(summary(outcome))
    return outcome


def is_over(scene: DemoScene, incidents: Incidents, *, all_well: bool) -> bool:
    """Return whether the service's incident ended otherwise than it should, or all of them ended and everything is well."""
    ended = end_of(scene, incidents)
    settled = (all_well or bool(scene.rejects)) and not still_open(incidents)
    return ended is not None and (ended.state is not scene.end or settled)


def end_of(scene: DemoScene, incidents: Incidents) -> Incident | None:
    """Return the incident of the scene's service once it is closed."""
    own = incidents.get(scene.service)
    return own.incident if own is not None and own.incident.closed is not None else None


def still_open(incidents: Incidents) -> str:
    """Name the services whose incident is not closed."""
    return ", ".join(name for name, each in incidents.items() if each.incident.closed is None)


async def answer(scene: DemoScene, stage: DemoStage, incidents: Incidents) -> None:
    """Answer what a person is asked, as `kintsugi approve` and `kintsugi reject` do."""
    for each in incidents.values():
        asked, incident = each.questions[-1:], each.incident
        if incident.state is IncidentState.AWAITING_APPROVAL and asked and asked[0].answered is None:
            given, verb, why = Answer.YES, "approve", ""
            if scene.rejects:
                given, verb, why = Answer.NO, "reject", f" --why {scene.rejects!r}"
            stage.write(f"       {WHO} reads the question and {verb}s the plan: $ kintsugi {verb} {incident.id}{why}")
            request = AnswerRequest(path=asked[0].path, plan=asked[0].plan, answer=given, why=scene.rejects)
            await stage.ask(partial(DaemonClient.answer, incident=incident.id, request=request))


async def outcome_of(scene: DemoScene, stage: DemoStage, incidents: Incidents, began: datetime) -> SceneOutcome:
    """Gather how a scene ended."""
    seconds = (datetime.now(UTC) - began).total_seconds()
    ended = end_of(scene, incidents)
    wrong = f"still open: {left}" if (left := still_open(incidents)) else ""
    if ended is not None and ended.state is scene.end and scene.check is not None and not wrong:
        wrong = await scene.check(stage, incidents)
    return SceneOutcome(
        name=scene.name,
        wanted=scene.end,
        state=ended.state if ended is not None else None,
        reason=first_line(ended.reason) if ended is not None else "no incident ended",
        seconds=seconds,
        wrong=wrong,
    )
