"""What the documents say exists, and their examples are what they say they are."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import typer
import yaml

from kintsugi.catalog import catalog_paths
from kintsugi.catalog import load as load_catalog
from kintsugi.catalog.scaffold import FoundWorkload, document
from kintsugi.cli import INSTALLED_APART, app, main, register_installed
from kintsugi.model.services import WorkloadRef
from kintsugi.settings import load
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.project.tree import ROOT, pages

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
PATH = re.compile(r"(?:daemon|docs|helm|rules|runbooks|tests|\.ci)/[\w./-]*|[\w-]+\.(?:md|toml|lock)|Makefile")
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """Paths, links, which are relative to the page, targets of make, and examples in YAML, which can be read."""
    text = page.read_text()
    paths = {code for code in CODE.findall(FENCE.sub("", text)) if PATH.fullmatch(code)}
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
    links = [link for link in LINK.findall(text) if not link.startswith(("http://", "https://"))]
    assert sorted(link for link in links if not (page.parent / link).exists()) == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) - targets == set()
    assert all(list(yaml.safe_load_all(example)) for language, example in FENCE.findall(text) if language == "yaml")


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


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_ours_is_one(page: Path) -> None:
    """The names of commands, and their flags, are those of the command line."""
    for name in INSTALLED_APART:
        register_installed(app, name)
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


BLOCKS = FENCE.findall((ROOT / "docs" / "install.md").read_text())
INDENTED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NOTICES = (ROOT / "docs" / "notices.md").read_text()
FILES = {found[1]: text for _, text in BLOCKS if (found := re.match(r"# ([\w-]+\.ya?ml)\n", text))}
COMMANDS = "".join(text for language, text in BLOCKS if language == "sh")
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()


def test_every_file_of_the_page_on_installing_is_used_by_a_command_of_it() -> None:
    assert list(FILES) == ["services.yaml", "alertmanager.yml", "alertmanagerconfig.yaml", "people.yaml"]
    assert [name for name in FILES if name not in COMMANDS] == []


def test_the_services_of_the_page_on_installing_are_valid_beside_what_is_shipped(tmp_path: Path) -> None:
    """What stands under `services` in the chart's values are Services without their heads."""
    for each in yaml.safe_load(FILES["services.yaml"])["services"]:
        head = {"apiVersion": "kintsugi.dev/v1alpha1", "kind": "Service", "metadata": {"name": each.pop("name")}}
        (tmp_path / "service.yaml").write_text(yaml.safe_dump({**head, "spec": each}))
        with pytest.raises(SystemExit) as left:
            main(["validate", str(tmp_path / "service.yaml")])
        assert left.value.code == 0


def test_readme_installs_what_the_page_installs() -> None:
    readme = (ROOT / "README.md").read_text()
    [installed] = re.findall(r"^helm install .*\\\n +(--set .*)$", readme, re.MULTILINE)
    assert installed in COMMANDS
    assert "(docs/install.md)" in readme


def test_the_webhook_of_notices_is_set_as_its_page_says(tmp_path: Path) -> None:
    """What stands under `settings` in the chart's values is the settings file."""
    [values] = [yaml.safe_load(text) for _, text in INDENTED.findall(NOTICES) if "notifications:" in text]
    folder = values["volumeMounts"][0]["mountPath"]
    assert values["settings"]["notifications"]["tokenFile"].startswith(f"{folder}/")
    told = values["settings"]["notifications"] | {"tokenFile": str(tmp_path / "token")}
    (tmp_path / "token").write_text(f"{'0' * 32}\n")
    file = tmp_path / "kintsugi.yaml"
    file.write_text(yaml.safe_dump({"server": {"insecureNoToken": True}, "notifications": told}))
    found = load(flags={}, environ={}, file=file).notifications
    assert (str(found.url), found.token_file) == ("https://chat.example.com/hooks/on-call", tmp_path / "token")


def test_each_route_of_the_page_on_notices_is_valid(tmp_path: Path) -> None:
    """Those of one destination stand in the chart's values, under `catalog.documents`."""
    shown = [yaml.safe_load(dedent(text)) for _, text in INDENTED.findall(NOTICES) if "NoticeRoute" in text]
    in_values, alone = ([each for each in shown if ("catalog" in each) is there] for there in (True, False))
    texts = [text for each in in_values for text in each["catalog"]["documents"].values()]
    names = list[set[str]]()
    for text in (*texts, *map(yaml.safe_dump, alone)):
        (tmp_path / "routes.yaml").write_text(text)
        names.append({*load_catalog(catalog_paths(None, [tmp_path])).notice_routes})
    assert names == [{"on-call"}, {"on-call", "everything"}, {"database-at-night"}, {"shop-team"}]


def test_the_file_of_the_quickstart_begins_as_init_writes_it() -> None:
    """Its commands are run by tests/cluster/test_story_quickstart.py, those of the page on installing by test_story_chart_page.py."""
    [shown] = [text for language, text in FENCE.findall(QUICKSTART) if language == "yaml"]
    workload = WorkloadRef(resource=DEPLOYMENTS, name="cart")
    found = FoundWorkload(workload=workload, namespace="shop", selector="app=cart")
    assert document(found, "cart", "catalog").startswith(shown.partition("  # …")[0])
    assert all("quickstart.md" in (ROOT / name).read_text() for name in ("README.md", "docs/install.md"))
