"""Verbs that come by entry point: none of strangers that is not named, and none that takes the place of another."""

from collections.abc import Iterator
from importlib.metadata import EntryPoints
from pathlib import Path

import pytest

from kintsugi.catalog import CatalogErrors, catalog_paths, load
from kintsugi.commands import decode, enable, encode, parse, registry, render
from kintsugi.errors import CommandError, UsageError
from tests.unit.factories import runbook_text
from tests.unit.project.guides import reference

MODULE = """
from collections.abc import Iterator
from dataclasses import dataclass

from kintsugi.actions.verb_bases import ProbeVerb
from kintsugi.actions.probe import Result
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


FETCH = "kintsugi backup fetch s3://backups/ --database=app -n production"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump"


@pytest.fixture
def without_restores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no distribution with verbs installed."""
    with monkeypatch.context() as patched:
        patched.setattr(registry, "entry_points", lambda **_: EntryPoints(()))
        enable(())
        yield
    enable(())


@pytest.mark.parametrize("line", [FETCH, RESTORE])
def test_a_verb_of_our_own_distribution_needs_no_setting_where_that_is_installed(line: str) -> None:
    enable(())
    assert type(parse(line)).__module__ == "kintsugi_restore.commands"
    enable(["restore"])
    assert decode(encode(parse(line))) == parse(line), "to name it is no mistake"


@pytest.mark.usefixtures("without_restores")
@pytest.mark.parametrize(("line", "verb"), [(FETCH, "kintsugi backup fetch"), (RESTORE, "pg_restore")])
def test_a_line_of_a_package_that_is_not_installed_says_which_and_how_to_install_it(line: str, verb: str) -> None:
    why = rf"{verb} needs the package kintsugi-restore, .*: pip install 'kintsugi-daemon\[restore\]'"
    with pytest.raises(CommandError, match=why):
        parse(line)


@pytest.mark.usefixtures("without_restores")
def test_without_a_package_the_shipped_runbooks_are_those_that_do_not_need_it(tmp_path: Path) -> None:
    """The example has a database whose runbooks need it: it is left out, and the daemon starts."""
    catalog = load(catalog_paths(None))
    assert "workload-recovery" in catalog.runbooks
    assert not {"database-restore", "database-drill"} & catalog.runbooks.keys()
    (tmp_path / "own.yaml").write_text(runbook_text(f"- {{id: newest, run: '{FETCH}'}}"))
    with pytest.raises(CatalogErrors, match=r"own\.yaml:\d+.* needs the package kintsugi-restore"):
        load(catalog_paths(None, [tmp_path]))
