"""Plays the demonstration and shows how each scene ended."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import typer

from kintsugi.cli.demo.demonstration import play
from kintsugi.cli.demo.scene import SceneOutcome
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.teller import LiveTeller, PlainTeller, Teller
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import LiveTable, emit, plain, state, table, took
from kintsugi.cli.shutdown import run_until_signal
from kintsugi.cli.stderr import print_note
from kintsugi.telemetry import configure_logging


async def demo(*, scenes: Sequence[SceneName], keep: bool, catalog: Path | None, output: OutputFormat) -> ExitCode:
    """Play scenes until their end or a signal; it has gone well when every one of them ended as expected."""
    configure_logging(level="error")
    folder = Path(mkdtemp(prefix="kintsugi-demo-"))
    outcomes: list[SceneOutcome] = []

    async def perform() -> None:
        with open_teller(output) as teller:
            outcomes.extend(await play(folder=folder, catalog=catalog, teller=teller, wanted=scenes))

    try:
        await run_until_signal(perform())
    finally:
        if keep:
            print_note(f"the ledgers are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not outcomes:
        return ExitCode.FINDINGS
    show(outcomes, output)
    return verdict(outcomes)


@contextmanager
def open_teller(output: OutputFormat) -> Iterator[Teller]:
    """Print it on the terminal there is, else in lines; beside the result where that is JSON."""
    with LiveTable() as screen:
        if output is OutputFormat.JSON:
            yield PlainTeller(beside)
        else:
            yield LiveTeller(screen) if screen.is_live else PlainTeller(typer.echo)


def beside(text: str) -> None:
    """Print lines beside the result."""
    for line in text.splitlines():
        print_note(line)


def verdict(outcomes: Sequence[SceneOutcome]) -> ExitCode:
    """Return whether every scene ended as expected."""
    return ExitCode.DONE if all(each.as_wanted for each in outcomes) else ExitCode.FINDINGS


def show(outcomes: Sequence[SceneOutcome], output: OutputFormat) -> None:
    """Write how the scenes ended."""
    if output is OutputFormat.JSON:
        emit({"scenes": outcomes})
        return
    typer.echo()
    table(
        ("SCENE", "ENDED", "EXPECTED", "TOOK", "SAVED", "REASON"),
        (
            (
                plain(each.name),
                state(each.state) if each.state is not None else plain("no incident", "red"),
                plain("yes" if each.as_wanted else f"no, {each.wrong or f'{each.wanted} was expected'}"),
                plain(took(timedelta(seconds=each.seconds))),
                plain(took(timedelta(seconds=each.makespan.saved)) if each.makespan is not None else "-"),
                plain(each.reason),
            )
            for each in outcomes
        ),
    )
