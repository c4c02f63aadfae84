"""What the documents say exists, and their examples are what they say they are."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from kintsugi.cli import app
from tests.unit.project.tree import ROOT, pages

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
PATH = re.compile(r"(?:daemon|docs|helm|rules|runbooks|tests|\.ci)/[\w./-]*|[\w-]+\.(?:md|toml|lock)|Makefile")
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


@pytest.fixture(params=pages(), ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    """Return one page after the other."""
    found: Path = request.param
    return found


def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """Guides rot from their paths."""
    prose = FENCE.sub("", page.read_text())
    named = {code for code in CODE.findall(prose) if PATH.fullmatch(code)}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_link_leads_somewhere(page: Path) -> None:
    """Links between pages are relative to the page."""
    links = [link for link in LINK.findall(page.read_text()) if not link.startswith(("http://", "https://"))]
    assert sorted(link for link in links if not (page.parent / link).exists()) == []


def test_every_yaml_example_can_be_read(page: Path) -> None:
    """What is pasted from a page must at least be YAML."""
    for language, text in FENCE.findall(page.read_text()):
        if language == "yaml":
            assert list(yaml.safe_load_all(text)), text


@pytest.mark.cluster
def test_alertmanager_takes_the_receiver_that_the_readme_shows(tmp_path: Path) -> None:
    """Alertmanager's own checker reads it, so it counts among the tests that need real parts."""
    checker = shutil.which("amtool")
    if checker is None:
        pytest.skip("not installed: prometheus-alertmanager (tests/harness/setup installs it)")
    shown = [text for language, text in FENCE.findall((ROOT / "README.md").read_text()) if language == "yaml"]
    [receiver] = [text for text in shown if text.startswith("receivers:")]
    config = tmp_path / "alertmanager.yaml"
    config.write_text(receiver)
    done = subprocess.run([checker, "check-config", str(config)], capture_output=True, text=True, check=False)
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


def test_every_command_of_ours_is_one(page: Path) -> None:
    """The names of commands, and their flags, are those of the command line."""
    group = typer.main.get_group(app)
    for whole in commands(page.read_text()):
        line = re.split(r" \\?\| ", whole)[0]  # what it is piped into is another program
        words = line.split()
        command = group.commands.get(words[1]) if len(words) > 1 else None
        inside = getattr(command, "commands", None)
        if inside is not None:
            command = inside.get(words[2]) if len(words) > 2 else None
        assert command is not None, f"there is no command: {line}"
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
        assert [flag for flag in FLAG.findall(line) if flag not in known] == [], line


def test_every_make_target_that_a_page_names_is_one(page: Path) -> None:
    """`make help` lists them."""
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert sorted(set(named) - known) == []


def test_examples_of_code_are_from_the_tree() -> None:
    """CONTRIBUTING.md names the file before each example; every line of it stands there, in that order."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    pieces = re.findall(r"From\s+`([^`]+)`:\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(pieces) == text.count("```python")
    assert [path for path, example in pieces if example not in (ROOT / path).read_text()] == []


def test_no_file_of_the_repository_names_a_machine() -> None:
    """Paths of somebody's machine and hosts of somebody's registry are no part of the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: there is no list of what is kept")
    machine = re.compile(r"/home/\w+|/Users/\w+|(?<![\w}])/root/\w|--index-url https?:|--extra-index-url")
    wrong = [name for name in listed.stdout.split("\0") if name and machine.search(readable(ROOT / name))]
    assert [name for name in wrong if name != str(Path(__file__).relative_to(ROOT))] == []


def commands(text: str) -> Iterator[str]:
    """Go through the lines in code that call `kintsugi`, continued lines made one."""
    spans = [code for code in CODE.findall(FENCE.sub("", text)) if code.startswith("kintsugi ")]
    blocks = "\n".join(body for language, body in FENCE.findall(text) if language in {"", "sh", "console"})
    lines = [line.removeprefix("$ ").strip() for line in blocks.replace("\\\n", " ").splitlines()]
    typed = [line.removeprefix(".venv/bin/").partition("#")[0].strip() for line in (*spans, *lines)]
    # `kintsugi backup fetch` and `kintsugi check` are commands of runbooks, not of the command line.
    of_runbooks = ("kintsugi backup", "kintsugi check")
    yield from (line for line in typed if line.startswith("kintsugi ") and not line.startswith(of_runbooks))


def readable(path: Path) -> str:
    """Read a file, or nothing where it is no text."""
    try:
        return path.read_text()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return ""
