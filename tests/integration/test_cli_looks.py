"""What a person sees and a program reads: incidents, one incident's story, services, pauses, explanations."""

import json
import os
import pty
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from kintsugi.model.api_types import ServiceSummary, SignalQuery
from kintsugi.model.records import IncidentState, Pause, PauseScope, Reason, Signal, SignalStatus, Target, VerdictKind
from tests.harness.daemon import Ended
from tests.harness.waiting import wait_for
from tests.integration.command_line import CommandLine
from tests.integration.operations_double import DETAIL, STATUS, STEPS, FakeOperations, at, running

TIMEOUT = 60.0

MENDED = """\
        inc-1  web-service  opened 2026-11-24 02:58:00 UTC, took 4m12s
        Changes:
          $ kubectl delete pod web-1 -n production
          $ kubectl scale deployment/web --replicas=5 -n production
        Outcome: recovered: web-service is healthy and the trigger has cleared
        Next: kintsugi incident inc-1 --all
        """
LOOKS = {
    "incidents": """\
        ID     SERVICE      STATE              REASON                                              OPENED (UTC)         TOOK
        inc-2  api-service  awaiting-approval  workload-recovery waits for a person's approval     2026-11-24 03:03:00  LONG so far
        inc-1  web-service  recovered          web-service is healthy and the trigger has cleared  2026-11-24 02:58:00  4m12s
        """,
    "signals": """\
        ID     RECEIVED (UTC)       SIGNAL                                                           FIRES  VERDICT   REASON      WHY
        sig-1  2026-11-24 02:58:00  pod production/web-1: web-pods-unhealthy                         yes    started   matched     rule web-pods-unhealthy starts web-service-recovery
        sig-2  2026-11-24 02:59:01  alert KubePodCrashLooping namespace=production pod=web-1\\x1b[2J  yes    attached  active-run  web-service is already being recovered
        """,
    "dead-letters": """\
        ID      RECEIVED (UTC)       FROM          RESEND  REASON                                                   EXCERPT
        dead-1  2026-11-24 02:59:10  alertmanager  yes     alert: Object missing required field `labels`            {"status":"firing","x":"\\x1b[2J"}
        dead-2  2026-11-24 02:59:00  poll          no      alert: labels: 70000 characters, at most 65536 are read  {aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        """,
    "pauses": """\
        ID     BLOCKS                WHO  WHY          SINCE (UTC)          UNTIL (UTC)
        pau-1  namespace production  ana  release 4.2  2026-11-24 02:58:10  resumed
        """,
    "services": """\
        mode auto; no pauses; running since 2026-11-24 02:58:00 UTC; the cluster at https://10.0.0.1 is seen; the ledger answers
        PRIORITY  SERVICE          NAMESPACE   SERVING  HEALTHY  READY  FOR  DEPENDS ON          REVISION  INCIDENT  NOW
        1         database         data        yes      no       1/2    -    -                   -         inc-5     running database-recovery: Check the database pod (planned); deadline 03:28:00
        3           api-service    production  no       no       0/2    -    database            -         inc-6     held by database until 03:13:10: database is being recovered
        5             web-service  production  unknown  unknown  0/3    -    api-service, cache  -         inc-1     -
        """,
    "incident inc-1": MENDED,
    "incident inc-1 --evidence": f"""{MENDED}
        --- restart[0]#0: describe
        Name: web-1
        Status: CrashLoopBackOff

        --- restart[0]#0: logs web --previous
        panic: \\x1b]0;owned\\x07no database
        """,
    "incident inc-1 --all": """\
        inc-1  web-service  recovered
        web-service is healthy and the trigger has cleared

        rule web-pods-unhealthy, runbook web-service-recovery, mode auto
        opened 2026-11-24 02:58:00 UTC, closed 2026-11-24 03:02:12, took 4m12s

        Signals
          02:56:00  pod production/web-1: web-pods-unhealthy (watch)
                    started by web-pods-unhealthy (matched): rule web-pods-unhealthy starts web-service-recovery
          02:59:00  alert KubePodCrashLooping namespace=production pod=web-1\\x1b[2J (alertmanager)
                    attached (active-run): web-service is already being recovered

        Steps (run run-1)
          02:58:01  done  Check service health, not met 0.2s
                      $ kubectl get pods -l app=web-app
                      not met: size(items) > 0
                      found items 2 (web-1, web-2)
          02:58:02  done  Restart unhealthy pods 38s
          02:58:03    done  restart[0]#0, changed 2s
                        $ kubectl delete pod web-1 -n production
                        because web-1 was unhealthy (rule web-pods-unhealthy)
          02:58:41    done  scale#0, changed 1s
                        $ kubectl scale deployment/web --replicas=5 -n production
          02:58:43  skipped  Clean up
                      not needed

        Evidence
          restart[0]#0: describe (2 lines)
          restart[0]#0: logs web --previous (1 line)

        Undo commands, newest first
          $ kubectl scale deployment/web --replicas=3 -n production
          kubectl delete pod web-1 -n production: its controller makes a successor
          kintsugi rollback inc-1 runs these commands and checks whether the service recovers
        """,
    "incident inc-2": """\
        inc-2  api-service  opened 2026-11-24 03:03:00 UTC, took LONG so far
        Changes: none
        Outcome: awaiting-approval: workload-recovery waits for a person's approval
        Question: Run Workload recovery on api-service? (until 03:33:01)
          Restart: kubectl rollout restart deployment/api
        Next: kintsugi approve inc-2 (or: kintsugi reject inc-2 --why TEXT)
        """,
    "incident inc-2 --all": """\
        inc-2  api-service  awaiting-approval
        workload-recovery waits for a person's approval

        rule api-alerts, runbook workload-recovery, mode approve
        opened 2026-11-24 03:03:00 UTC, took LONG so far

        Questions
          03:03:01  plan 9f31c0ffee: no answer, open until 03:33:01
                    Run Workload recovery on api-service?
                    Restart: kubectl rollout restart deployment/api
        """,
    "explain web-service": """\
        KEY        VALUE        FROM
        namespace  production   rules/web-service.yaml:8:14
        selector   app=web-app  derived
        RULE                        VALUE                                                       FROM
        web-service-pods-unhealthy  auto: web-service-recovery on pod for 2m: object.unhealthy  rules/any-service.yaml:6:18
        """,
    "explain --pod production/web-1": """\
        pod production/web-1
          verdict now: refused by rule web-pods-unhealthy (cooldown, until 03:10:00 UTC): cooling down until 03:10:00 after a run that ended recovered
          - web-alerts: no: label severity expected ="critical", found "info"
        """,
}
"""What each look prints, whatever strangers have written into labels, bodies and logs: nothing steers the terminal."""


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_prints_what_is_known(kintsugi: CommandLine, look: str) -> None:
    """P9: what was refused or observed is there to be read."""
    ended = kintsugi(*look.split())
    assert (ended.code, ended.err) == (0, "")
    assert re.sub(r"\S+ so far", "LONG so far", ended.out) == dedent(LOOKS[look])


def test_a_diagnosis_begins_with_the_likeliest_cause_and_ends_with_what_is_not_known(
    kintsugi: CommandLine, operations: FakeOperations
) -> None:
    """A workload that is not well is a finding."""
    ended = kintsugi("diagnose", "deployment/web", "-n", "production")
    assert (ended.code, ended.err) == (1, "")
    assert ended.out == dedent(
        """\
        deployment/web: container web cannot pull image shop:2.1: the registry does not have it: failed to pull and unpack image "shop:2.1": not found
          ImagePull (certain): deployment/web containers[web].image
            field pod/web-1 status.containerStatuses[web].state.waiting: ImagePullBackOff
            2026-11-24 03:02:00  event pod/web-1 Failed: failed to pull and unpack image "shop:2.1": not found
        and container web ends with exit code 1, 4 restarts
          ContainerExit (likely): pod/web-2 containers[web]
        not known: secrets of production: no right to get them
        """
    )
    told = json.loads(kintsugi("diagnose", "deployment/web", "-n", "production", "-o", "json").out)
    assert (told["object"], told["namespace"]) == ("deployment/web", "production")
    assert (told["causes"][0]["kind"], told["causes"][0]["registry"]) == ("ImagePull", "not-found")
    assert operations.asked[-1] == ("diagnose", Target(kind="deployment", namespace="production", name="web"))


def test_a_manifest_is_printed_as_it_is_with_the_values_that_are_masked_elsewhere(kintsugi: CommandLine) -> None:
    ended = kintsugi("manifest", "store")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["spec"] == {"password": "hunter2"}


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("incidents --service api-service --open --limit 7", ("incidents", 7, "api-service", True)),
        (
            "signals --verdict refused --reason cooldown --before sig-9 --limit 2",
            (
                "signals",
                SignalQuery(verdict=VerdictKind.REFUSED, reason=Reason.COOLDOWN, before="sig-9", limit=2),
            ),
        ),
        ("manifest store", ("manifest", "store")),
        ("explain web-service", ("explain_service", "web-service")),
        ("explain --pod production/web-1", ("explain", Target(kind="Pod", namespace="production", name="web-1"))),
    ],
)
def test_filters_and_names_reach_the_daemon(
    kintsugi: CommandLine, operations: FakeOperations, command: str, asked: tuple[object, ...]
) -> None:
    kintsugi(*command.split())
    assert operations.asked == [asked]


def test_why_shows_what_happens_with_one_service_and_its_newest_incident(
    kintsugi: CommandLine, operations: FakeOperations
) -> None:
    ended = kintsugi("why", "api-service")
    rows = ended.out.splitlines()
    assert (ended.code, "held by database" in rows[1], any(each.startswith("inc-1") for each in rows)) == (
        0,
        True,
        True,
    )
    assert operations.asked[0] == ("incidents", 1, "api-service", False)
    told = json.loads(kintsugi("why", "api-service", "-o", "json").out)
    assert (told["service"]["name"], told["incident"]["id"]) == ("api-service", "inc-2")
    wrong = kintsugi("why", "api-servce")
    assert (wrong.code, "did you mean api-service" in wrong.err) == (2, True)


def test_an_empty_list_is_said_beside_the_result(kintsugi: CommandLine, operations: FakeOperations) -> None:
    operations.empty = True
    for command in ("incidents", "services", "pauses", "signals", "dead-letters"):
        ended = kintsugi(command)
        assert ended.code == 0
        assert len(ended.out.splitlines()) == (1 if command == "services" else 0)
        assert ended.err.strip()
        assert next(iter(json.loads(kintsugi(command, "-o", "json").out).values())) == []


def test_a_full_page_says_how_to_see_the_next(kintsugi: CommandLine) -> None:
    assert "--before sig-2" in kintsugi("signals", "--limit", "2").err
    assert kintsugi("signals", "--limit", "3").err == ""
    assert "--before dead-2" in kintsugi("dead-letters", "--limit", "2").err


def test_the_services_begin_with_the_state_of_the_daemon(kintsugi: CommandLine, operations: FakeOperations) -> None:
    """A daemon that does not see the cluster is no good answer: a script learns it by the exit code."""
    pause = Pause(id="p", scope=PauseScope.GLOBAL, who="ana", why="4.2", since=at(0))
    operations.status = replace(STATUS, pauses=(pause,))
    ended = kintsugi("services")
    assert (ended.code, ended.out.split("; ")[1]) == (0, "paused: everything by ana until resumed (4.2)")
    operations.status = replace(STATUS, stale=True, seen=at(60), doubt="the watch of pods is interrupted")
    ended = kintsugi("services")
    assert ended.code == 3
    assert ended.out.splitlines()[0] == (
        "mode auto; no pauses; running since 2026-11-24 02:58:00 UTC; the cluster at https://10.0.0.1 is not seen "
        "since 2026-11-24 02:59:00 UTC: the watch of pods is interrupted; the ledger answers"
    )
    assert kintsugi("services", "-o", "json").code == 3


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("incidents", "incidents"),
        ("services", "services"),
        ("pauses", "pauses"),
        ("signals", "signals"),
        ("dead-letters", "dead_letters"),
        ("incident inc-1", "runs"),
    ],
)
def test_json_is_the_shape_of_the_api(kintsugi: CommandLine, command: str, key: str) -> None:
    ended = kintsugi(*command.split(), "-o", "json")
    assert ended.err == ""
    assert isinstance(json.loads(ended.out)[key], list)


def test_json_keeps_everything(kintsugi: CommandLine) -> None:
    told = json.loads(kintsugi("incident", "inc-1", "-o", "json").out)
    assert [step["path"] for step in told["runs"][0]["steps"]][:2] == ["@found", "check"]
    assert told["runs"][0]["evidence"][0]["text"].startswith("Name: web-1")
    told = json.loads(kintsugi("explain", "web-service", "-o", "json").out)
    assert told["values"][1] == {"key": "selector", "value": "app=web-app", "place": ""}


def test_labels_of_an_alert_are_taken_as_they_were_typed(
    kintsugi: CommandLine, operations: FakeOperations, tmp_path: Path
) -> None:
    """`yes` and `8080` stay texts, as Alertmanager's labels are."""
    file = tmp_path / "alert.yaml"
    file.write_text("labels: {alertname: Down, page: yes, port: 8080}\n", encoding="utf-8")
    ended = kintsugi("explain", "--alert", str(file))
    ((_, signal),) = operations.asked
    assert isinstance(signal, Signal)
    assert signal.labels == {"alertname": "Down", "page": "yes", "port": "8080"}
    assert ended.out.startswith("alert Down (page=yes, port=8080)\n")


def test_every_alert_of_a_webhooks_body_is_explained(kintsugi: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    alerts = [{"labels": {"alertname": name}, "annotations": {}} for name in ("One", "Two")]
    file.write_text(json.dumps({"version": "4", "alerts": alerts}), encoding="utf-8")
    told = json.loads(kintsugi("explain", "--alert", str(file), "-o", "json").out)
    assert [each["about"] for each in told["explanations"]] == ["alert One", "alert Two"]
    assert told["explanations"][0]["verdict"]["reason"] == "cooldown"


def follow(kintsugi: CommandLine, *arguments: str) -> Ended:
    """Follow the incident, looking often."""
    return kintsugi("incident", "inc-1", "--follow", "--every", "0.05", *arguments)


@pytest.fixture
def followed(operations: FakeOperations) -> FakeOperations:
    """Have an incident that goes on from look to look, until it is closed."""
    stages = [
        (IncidentState.RUNNING, STEPS[:2]),
        (IncidentState.RUNNING, STEPS[:5]),
        (IncidentState.VERIFYING, STEPS[:5]),
        (IncidentState.RECOVERED, STEPS[:5]),
    ]
    operations.looks = [running(DETAIL, state, steps) for state, steps in stages]
    return operations


@pytest.mark.usefixtures("followed")
def test_each_step_and_state_of_a_followed_incident_is_told_once_until_it_is_closed(kintsugi: CommandLine) -> None:
    ended = follow(kintsugi)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[lines.index("Updates") + 1 :] == [
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


@pytest.mark.usefixtures("followed")
def test_json_of_a_followed_incident_is_written_once_at_the_end(kintsugi: CommandLine) -> None:
    ended = follow(kintsugi, "-o", "json")
    assert (ended.code, json.loads(ended.out)["incident"]["state"]) == (0, "recovered")


def test_a_daemon_that_restarts_is_waited_for(kintsugi: CommandLine, followed: FakeOperations) -> None:
    followed.looks[1:1] = [None, None]
    ended = follow(kintsugi)
    assert ended.code == 0
    assert ended.err.count("trying again") == 1
    assert "recovered: it is recovered" in ended.out.splitlines()


@pytest.mark.parametrize(
    ("state", "signals", "code"),
    [
        (IncidentState.NEEDS_OPERATOR, SignalStatus.FIRING, 1),
        (IncidentState.FAILED, SignalStatus.FIRING, 1),
        (IncidentState.INEFFECTIVE, SignalStatus.FIRING, 1),
        (IncidentState.ROLLED_BACK, SignalStatus.FIRING, 1),
        (IncidentState.CANCELLED, SignalStatus.FIRING, 1),
        (IncidentState.CANCELLED, SignalStatus.RESOLVED, 0),
    ],
)
def test_how_a_followed_incident_has_ended_is_the_exit_code(
    kintsugi: CommandLine, operations: FakeOperations, state: IncidentState, signals: SignalStatus, code: int
) -> None:
    """An incident is cancelled when its trigger has ended, and also when nobody approved. Without --follow it is only told."""
    ended = running(DETAIL, state, STEPS)
    told = tuple(replace(each, signal=replace(each.signal, status=signals)) for each in ended.signals)
    operations.looks = [replace(ended, signals=told)]
    assert follow(kintsugi).code == code
    assert kintsugi("incident", "inc-1").code == 0


def web(ready: int) -> list[ServiceSummary]:
    """Return the web service with so many of its three pods ready, since a moment of its own."""
    seen = ServiceSummary(
        name="web",
        namespace="shop",
        priority=1,
        serving=ready > 0,
        healthy=ready == 3,
        ready=ready,
        desired=3,
        since=at(ready),
    )
    return [seen]


@pytest.fixture
def watched(operations: FakeOperations) -> FakeOperations:
    """Have a service that changes from look to look, and a daemon that is away meanwhile."""
    operations.watched = [web(3), web(3), web(0), None, None, web(0), web(1), web(1)]
    return operations


@pytest.mark.usefixtures("watched")
def test_without_a_terminal_each_change_of_the_services_is_written_once(kintsugi: CommandLine, tmp_path: Path) -> None:
    """A daemon that is away meanwhile is said once, and waited for; Ctrl-C is a good end."""
    out, err = tmp_path / "out", tmp_path / "err"
    command, environment = kintsugi.process("services", "--watch", "--every", "0.05")
    with (
        out.open("wb") as written,
        err.open("wb") as said,
        subprocess.Popen(command, stdout=written, stderr=said, env=environment) as process,
    ):
        try:
            wait_for(lambda: "1/3" in out.read_text(), within=TIMEOUT, describe=err.read_text)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0, err.read_text()
        finally:
            process.kill()
    head = "PRIORITY  SERVICE  NAMESPACE  SERVING  HEALTHY  READY  SINCE     DEPENDS ON  REVISION  INCIDENT  NOW"
    assert [line for line in out.read_text().splitlines() if " UTC: mode auto; " not in line] == [
        head,
        "1         web      shop       yes      yes      3/3    02:58:03  -           -         -         -",
        head,
        "1         web      shop       no       no       0/3    02:58:00  -           -         -         -",
        head,
        "1         web      shop       yes      no       1/3    02:58:01  -           -         -         -",
    ]
    assert err.read_text().count("trying again") == 1


@pytest.mark.usefixtures("watched")
def test_on_a_terminal_the_services_are_shown_in_their_place(kintsugi: CommandLine) -> None:
    """The lines before are written over, not under."""
    ours, theirs = pty.openpty()
    seen = b""
    command, environment = kintsugi.process("services", "--watch", "--every", "0.05")
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        try:
            while b"1/3" not in seen:
                seen += os.read(ours, 4096)  # ends by an error when the command does
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
            os.close(ours)
    assert b"\x1b[1A" in seen, seen
