"""`kintsugi demo`, which is a distribution of its own."""

import importlib.metadata
import sys

import pytest
import typer

from kintsugi import cli
from kintsugi.cli import main
from kintsugi.cli.errors import ExitCode
from kintsugi.errors import KintsugiError


def test_the_scenes_are_listed_without_the_embedded_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry point leads to the command; what plays scenes is loaded only for them."""
    monkeypatch.setitem(sys.modules, "kubesim", None)
    with pytest.raises(SystemExit) as left:
        main(["demo", "--list"])
    assert left.value.code == ExitCode.DONE
    assert "crash-loop" in capsys.readouterr().out


def test_the_command_line_says_in_one_line_what_to_install_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda **_: importlib.metadata.EntryPoints(()))
    app = typer.Typer()
    app.callback()(lambda: None)
    cli.register_demo(app)
    with pytest.raises(KintsugiError, match=r"pip install 'kintsugi-daemon\[demo\]'"):
        app(["demo", "--scene", "crash-loop"], standalone_mode=False)
