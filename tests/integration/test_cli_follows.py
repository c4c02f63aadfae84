"""`kintsugi incident ID --follow`: what is new, until it is closed; the exit code tells how."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState, SignalStatus
from tests.integration.cli_daemon import DETAIL, STEPS, CommandLine, Night, daemon, running


@pytest.fixture
def night() -> Night:
    return Night(
        looks=[
            running(DETAIL, IncidentState.RUNNING, STEPS[:2]),
            running(DETAIL, IncidentState.RUNNING, STEPS[:5]),
            running(DETAIL, IncidentState.VERIFYING, STEPS[:5]),
            running(DETAIL, IncidentState.RECOVERED, STEPS[:5]),
        ]
    )


@pytest.fixture
def kintsugi(tmp_path: Path, night: Night, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    with daemon(tmp_path, night) as served:
        yield CommandLine(served, capsys)


def follow(kintsugi: CommandLine, *arguments: str) -> tuple[int, list[str], str]:
    """Follow the incident, looking often."""
    ended = kintsugi("incident", "inc-1", "--follow", "--every", "0.05", *arguments)
    return ended.code, ended.out.splitlines(), ended.err


def test_each_step_and_state_is_told_once_until_it_is_closed(kintsugi: CommandLine) -> None:
    code, lines, _ = follow(kintsugi)
    assert code == 0
    later = lines[lines.index("Updates") + 1 :]
    assert later == [
        "  02:58:02  done  Restart unhealthy pods 38s",
        "  02:58:03    done  restart[0]#0, changed 2s",
        "                $ kubectl delete pod web-1 -n production",
        "                because web-1 was unhealthy (rule web-pods-unhealthy)",
        "verifying: it is verifying",
        "recovered: it is recovered",
        "",
        "Undo commands, newest first",
        "  kubectl delete pod web-1 -n production: its controller makes a successor",
    ]
    assert any(line.startswith("The watchdog") for line in lines)


@pytest.mark.parametrize(
    "state",
    [IncidentState.NEEDS_OPERATOR, IncidentState.FAILED, IncidentState.INEFFECTIVE, IncidentState.ROLLED_BACK],
)
def test_a_bad_end_is_exit_code_1(kintsugi: CommandLine, night: Night, state: IncidentState) -> None:
    night.looks = [running(DETAIL, IncidentState.RUNNING, STEPS[:2]), running(DETAIL, state, STEPS)]
    assert follow(kintsugi)[0] == 1


@pytest.mark.parametrize(("status", "code"), [(SignalStatus.RESOLVED, 0), (SignalStatus.FIRING, 1)])
def test_a_cancelled_incident_is_well_when_nothing_fires_any_more(
    kintsugi: CommandLine, night: Night, status: SignalStatus, code: int
) -> None:
    """It is cancelled when its trigger has ended, and also when nobody approved."""
    cancelled = running(DETAIL, IncidentState.CANCELLED, ())
    signals = tuple(replace(each, signal=replace(each.signal, status=status)) for each in cancelled.signals)
    night.looks = [replace(cancelled, signals=signals)]
    assert follow(kintsugi)[0] == code


def test_without_follow_a_bad_end_is_only_told(kintsugi: CommandLine, night: Night) -> None:
    night.looks = [running(DETAIL, IncidentState.FAILED, STEPS)]
    assert kintsugi("incident", "inc-1").code == 0


def test_a_daemon_that_restarts_is_waited_for(kintsugi: CommandLine, night: Night) -> None:
    night.looks[1:1] = [None, None]
    code, lines, err = follow(kintsugi)
    assert code == 0
    assert err.count("trying again") == 1
    assert "recovered: it is recovered" in lines


def test_json_is_written_once_at_the_end(kintsugi: CommandLine) -> None:
    code, lines, _ = follow(kintsugi, "-o", "json")
    assert code == 0
    assert json.loads("\n".join(lines))["incident"]["state"] == "recovered"
