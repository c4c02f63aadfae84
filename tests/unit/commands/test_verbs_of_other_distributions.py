"""Verbs that come by entry point: none that is not named, and none that takes the place of another."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kintsugi.commands import decode, enable, encode, parse, render
from kintsugi.errors import CommandError, UsageError
from tests.unit.project.guides import reference

MODULE = """
from collections.abc import Iterator
from dataclasses import dataclass

from kintsugi.actions.probe_verb import ProbeVerb
from kintsugi.actions.result import Result
from kintsugi.commands import arg_types
from kintsugi.commands.command_spec import CommandSpec
from kintsugi.model.command import Command


@dataclass(frozen=True, kw_only=True, slots=True)
class Ping(Command):
    host: str


class PingVerb(ProbeVerb[Ping]):
    command = Ping
    spec = CommandSpec(
        verb="WORDS",
        changes=False,
        usage="WORDS HOST",
        example="WORDS web.production",
        flags=(),
        arguments=(arg_types.HOST,),
        build=lambda parsed: Ping(host=str(parsed.exactly(1)[0].value)),
    )

    def words(self, command: Ping) -> Iterator[str]:
        yield command.host

    async def read(self, clients, command, *, deadline, probe_context):
        return Result(names={}, summary=f"{command.host} answers")


VERBS = (PingVerb(),)
"""


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """Leave no verb behind."""
    yield
    enable(())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution with a verb, as far as `importlib.metadata` looks."""
    info = tmp_path / "acme_ping-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-ping\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[kintsugi.verbs]\nping = acme_ping:VERBS\nbroken = acme_broken:VERBS\ncopy = acme_copy:VERBS\n"
    )
    (tmp_path / "acme_ping.py").write_text(MODULE.replace("WORDS", "acme ping"))
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no licence')\n")
    (tmp_path / "acme_copy.py").write_text(MODULE.replace("WORDS", "kubectl drain"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("installed")
def test_an_installed_verb_is_not_there_before_it_is_named() -> None:
    with pytest.raises(CommandError, match="'acme' is not a known command"):
        parse("acme ping web.production")


@pytest.mark.usefixtures("installed")
def test_a_verb_that_is_named_is_parsed_rendered_kept_and_in_the_table() -> None:
    enable(["ping"])
    command = parse("acme ping web.production")
    assert render(command) == "acme ping web.production"
    assert decode(encode(command)) == command
    assert "| `acme ping HOST` |" in reference()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pin", "no installed package has the entry point 'pin' in kintsugi.verbs; did you mean ping?"),
        ("broken", "cannot be loaded: RuntimeError"),
        ("copy", "there is a kubectl drain already"),
    ],
)
def test_a_distribution_that_cannot_be_used_is_reported_and_nothing_of_it_is_enabled(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        enable(["ping", name])
    with pytest.raises(CommandError):
        parse("acme ping web.production")
