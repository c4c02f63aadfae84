"""Plays the demonstration and shows how each scene ended."""

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import typer

from kintsugi.cli.complaint import note
from kintsugi.cli.demonstration import play
from kintsugi.cli.exits import Exit
from kintsugi.cli.options import Form
from kintsugi.cli.output import emit, plain, state, table, took
from kintsugi.cli.stage import Outcome
from kintsugi.cli.stopping import until_told
from kintsugi.telemetry import configure_logging


async def demo(*, keep: bool, catalog: Path | None, output: Form) -> Exit:
    """Play it until its end or a signal; it has gone well when every scene ended as it should."""
    configure_logging(level="error")
    folder = Path(mkdtemp(prefix="kintsugi-demo-"))
    outcomes: list[Outcome] = []

    async def perform() -> None:
        outcomes.extend(await play(folder=folder, catalog=catalog, say=note if output is Form.JSON else typer.echo))

    try:
        ended = await until_told(perform())
    finally:
        if keep:
            note(f"the ledger is kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not outcomes:
        return ended
    show(outcomes, output)
    return verdict(outcomes)


def verdict(outcomes: Sequence[Outcome]) -> Exit:
    """Say whether every scene ended as it should."""
    return Exit.DONE if all(each.as_wanted for each in outcomes) else Exit.FINDINGS


def show(outcomes: Sequence[Outcome], output: Form) -> None:
    """Write how the scenes ended."""
    if output is Form.JSON:
        emit({"scenes": outcomes})
        return
    typer.echo()
    table(
        ("SCENE", "ENDED", "AS IT SHOULD", "TOOK", "REASON"),
        (
            (
                plain(each.title),
                state(each.state) if each.state is not None else plain("nothing", "red"),
                plain("yes" if each.as_wanted else f"no, {each.wrong or f'{each.wanted} was wanted'}"),
                plain(took(timedelta(seconds=each.seconds))),
                plain(each.reason),
            )
            for each in outcomes
        ),
    )
