"""What a person sees and a program reads: incidents, one incident's story, services, pauses, explanations."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from kintsugi.model.records import Pause, PauseScope, Reason, Signal, Target, VerdictKind
from kintsugi.server.operations import SignalQuery
from tests.integration.cli_daemon import STATUS, CommandLine, Night, at, daemon


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
def kintsugi(tmp_path: Path, night: Night, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    with daemon(tmp_path, night) as served:
        yield CommandLine(served, capsys)


def test_incidents_come_as_a_table_with_the_first_line_of_each_reason(kintsugi: CommandLine) -> None:
    ended = kintsugi("incidents")
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[0].split() == ["ID", "SERVICE", "STATE", "REASON", "OPENED", "(UTC)", "TOOK"]
    assert "this line is detail" not in ended.out
    assert lines[1].startswith(
        "inc-2  api-service  awaiting-approval  workload-recovery waits for a person's approval "
    )
    assert lines[1].endswith(" so far")
    assert lines[2] == (
        "inc-1  web-service  recovered          web-service is healthy and the trigger has cleared"
        "  2026-11-24 02:58:00  4m12s"
    )


def test_a_diagnosis_begins_with_the_likeliest_cause_and_ends_with_what_is_not_known(kintsugi: CommandLine) -> None:
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


def test_a_manifest_is_printed_as_it_is_with_the_values_that_are_masked_elsewhere(
    kintsugi: CommandLine, night: Night
) -> None:
    ended = kintsugi("manifest", "store")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["spec"] == {"password": "hunter2"}
    assert night.asked == [("manifest", "store")]


def test_a_diagnosis_is_json_for_a_program(kintsugi: CommandLine, night: Night) -> None:
    told = json.loads(kintsugi("diagnose", "deployment/web", "-n", "production", "-o", "json").out)
    assert (told["object"], told["namespace"]) == ("deployment/web", "production")
    first = told["causes"][0]
    assert (first["kind"], first["confidence"], first["registry"]) == ("ImagePull", "certain", "not-found")
    assert night.asked[-1] == ("diagnose", Target(kind="deployment", namespace="production", name="web"))


@pytest.mark.parametrize(
    ("workload", "code"),
    [("web", 2), ("deployment/", 2), ("deployment/b/c", 2), ("service/web", 2), ("deployment/gone", 1)],
)
def test_a_diagnosis_of_what_is_not_there_is_refused(kintsugi: CommandLine, workload: str, code: int) -> None:
    ended = kintsugi("diagnose", workload)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.strip()


def test_filters_reach_the_daemon(kintsugi: CommandLine, night: Night) -> None:
    kintsugi("incidents", "--service", "api-service", "--open", "--limit", "7")
    assert night.asked == [("incidents", 7, "api-service", True)]


def test_an_empty_list_is_said_beside_the_result(kintsugi: CommandLine, night: Night) -> None:
    night.empty = True
    for command in ("incidents", "services", "pauses", "signals", "dead-letters"):
        ended = kintsugi(command)
        assert ended.code == 0
        assert len(ended.out.splitlines()) == (1 if command == "services" else 0)
        assert ended.err.strip()
        assert next(iter(json.loads(kintsugi(command, "-o", "json").out).values())) == []


def test_the_story_tells_what_fired_what_was_done_and_the_way_back(kintsugi: CommandLine) -> None:
    ended = kintsugi("incident", "inc-1", "--all")
    assert ended.code == 0
    assert ended.out == dedent(
        """\
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
        """
    )


def test_an_incident_is_summarised_in_few_lines_with_the_next_command(kintsugi: CommandLine) -> None:
    assert kintsugi("incident", "inc-1").out == dedent(
        """\
        inc-1  web-service  opened 2026-11-24 02:58:00 UTC, took 4m12s
        Changes:
          $ kubectl delete pod web-1 -n production
          $ kubectl scale deployment/web --replicas=5 -n production
        Outcome: recovered: web-service is healthy and the trigger has cleared
        Next: kintsugi incident inc-1 --all
        """
    )


def test_an_incident_that_asks_shows_the_question_and_how_to_answer_it(kintsugi: CommandLine) -> None:
    lines = kintsugi("incident", "inc-2").out.splitlines()
    assert lines[1:] == [
        "Changes: none",
        "Outcome: awaiting-approval: workload-recovery waits for a person's approval",
        "Question: Run Workload recovery on api-service? (until 03:33:01)",
        "  Restart: kubectl rollout restart deployment/api",
        "Next: kintsugi approve inc-2 (or: kintsugi reject inc-2 --why TEXT)",
    ]


def test_evidence_is_printed_on_demand_and_cannot_steer_the_terminal(kintsugi: CommandLine) -> None:
    ended = kintsugi("incident", "inc-1", "--evidence")
    assert "\n--- restart[0]#0: describe\nName: web-1\nStatus: CrashLoopBackOff\n" in ended.out
    assert "panic: \\x1b]0;owned\\x07no database" in ended.out
    assert "\x1b" not in ended.out


def test_an_open_question_is_part_of_the_story(kintsugi: CommandLine) -> None:
    told = kintsugi("incident", "inc-2", "--all").out
    assert "plan 9f31c0ffee: no answer, open until 03:33:01" in told
    assert "Restart: kubectl rollout restart deployment/api" in told


def test_signals_come_with_what_became_of_each(kintsugi: CommandLine) -> None:
    """P9: what was refused or observed is there to be read, and cannot steer the terminal."""
    ended = kintsugi("signals")
    lines = ended.out.splitlines()
    assert lines[0].split()[:6] == ["ID", "RECEIVED", "(UTC)", "SIGNAL", "FIRES", "VERDICT"]
    assert lines[1].startswith("sig-1  2026-11-24 02:58:00  pod production/web-1: web-pods-unhealthy")
    assert " yes    attached  active-run  web-service is already being recovered" in lines[2]
    assert "\x1b" not in ended.out


def test_filters_of_signals_reach_the_daemon(kintsugi: CommandLine, night: Night) -> None:
    kintsugi("signals", "--verdict", "refused", "--reason", "cooldown", "--before", "sig-9", "--limit", "2")
    wish = SignalQuery(verdict=VerdictKind.REFUSED, reason=Reason.COOLDOWN, before="sig-9", limit=2)
    assert night.asked == [("signals", wish)]


def test_a_full_page_says_how_to_see_the_next(kintsugi: CommandLine) -> None:
    assert "--before sig-2" in kintsugi("signals", "--limit", "2").err
    assert kintsugi("signals", "--limit", "3").err == ""
    assert "--before dead-2" in kintsugi("dead-letters", "--limit", "2").err


def test_a_word_that_is_no_verdict_is_a_mistake_of_usage(kintsugi: CommandLine) -> None:
    ended = kintsugi("signals", "--verdict", "refuse")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no 'refuse'; there is started" in ended.err


def test_dead_letters_say_why_and_whether_they_can_be_sent_in_again(kintsugi: CommandLine) -> None:
    lines = kintsugi("dead-letters").out.splitlines()
    assert lines[1].split()[:5] == ["dead-1", "2026-11-24", "02:59:10", "alertmanager", "yes"]
    assert "missing required field `labels`" in lines[1]
    assert lines[2].split()[:5] == ["dead-2", "2026-11-24", "02:59:00", "poll", "no"]


def test_services_come_in_the_daemons_order_each_under_what_it_depends_on(kintsugi: CommandLine) -> None:
    """Serving and healthy are two things; what is held says by whom and until when, what is mended where it is."""
    lines = [re.split(r"  +", line) for line in kintsugi("services").out.splitlines()[1:]]
    run = "running database-recovery: Check the database pod (planned); deadline 03:28:00"
    held = "held by database until 03:13:10: database is being recovered"
    assert lines == [
        [
            "PRIORITY",
            "SERVICE",
            "NAMESPACE",
            "SERVING",
            "HEALTHY",
            "READY",
            "FOR",
            "DEPENDS ON",
            "REVISION",
            "INCIDENT",
            "NOW",
        ],
        ["1", "database", "data", "yes", "no", "1/2", "-", "-", "-", "inc-5", run],
        ["3", "api-service", "production", "no", "no", "0/2", "-", "database", "-", "inc-6", held],
        ["5", "web-service", "production", "unknown", "unknown", "0/3", "-", "api-service, cache", "-", "inc-1", "-"],
    ]
    indents = [line.index(line.split()[1]) for line in kintsugi("services").out.splitlines()[2:]]
    assert [indent - indents[0] for indent in indents] == [0, 2, 4]


def test_the_services_begin_with_the_state_of_the_daemon(kintsugi: CommandLine, night: Night) -> None:
    """A daemon that does not see the cluster is no good answer: a script learns it by the exit code."""
    night.status = replace(STATUS, pauses=(Pause(id="p", scope=PauseScope.GLOBAL, who="ana", why="4.2", since=at(0)),))
    ended = kintsugi("services")
    assert ended.code == 0
    assert ended.out.splitlines()[0] == (
        "mode auto; paused: everything by ana until resumed (4.2); running since 2026-11-24 02:58:00 UTC; "
        "the cluster at https://10.0.0.1 is seen; the ledger answers"
    )
    night.status = replace(STATUS, stale=True, seen=at(60), doubt="the watch of pods is interrupted")
    ended = kintsugi("services")
    assert ended.code == 3
    assert ended.out.splitlines()[0] == (
        "mode auto; no pauses; running since 2026-11-24 02:58:00 UTC; the cluster at https://10.0.0.1 is not seen "
        "since 2026-11-24 02:59:00 UTC: the watch of pods is interrupted; the ledger answers"
    )
    assert kintsugi("services", "-o", "json").code == 3


def test_pauses_say_what_they_hold_back_and_why(kintsugi: CommandLine) -> None:
    assert kintsugi("pauses").out.splitlines()[1] == (
        "pau-1  namespace production  ana  release 4.2  2026-11-24 02:58:10  resumed"
    )


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("incidents",), "incidents"),
        (("services",), "services"),
        (("pauses",), "pauses"),
        (("signals",), "signals"),
        (("dead-letters",), "dead_letters"),
        (("incident", "inc-1"), "runs"),
    ],
)
def test_json_is_the_shape_of_the_api(kintsugi: CommandLine, arguments: tuple[str, ...], key: str) -> None:
    ended = kintsugi(*arguments, "-o", "json")
    assert ended.err == ""
    assert isinstance(json.loads(ended.out)[key], list)


def test_json_of_an_incident_keeps_everything(kintsugi: CommandLine) -> None:
    told = json.loads(kintsugi("incident", "inc-1", "-o", "json").out)
    assert [step["path"] for step in told["runs"][0]["steps"]][:2] == ["@found", "check"]
    assert told["runs"][0]["evidence"][0]["text"].startswith("Name: web-1")


def test_a_pod_is_explained_rule_by_rule(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("explain", "--pod", "production/web-1")
    assert night.asked == [("explain", Target(kind="Pod", namespace="production", name="web-1"))]
    assert ended.out == dedent(
        """\
        pod production/web-1
          verdict now: refused by rule web-pods-unhealthy (cooldown, until 03:10:00 UTC): cooling down until 03:10:00 after a run that ended recovered
          - web-alerts: no: label severity expected ="critical", found "info"
        """
    )


def test_labels_of_an_alert_are_taken_as_they_were_typed(kintsugi: CommandLine, night: Night, tmp_path: Path) -> None:
    """`yes` and `8080` stay texts, as Alertmanager's labels are."""
    file = tmp_path / "alert.yaml"
    file.write_text("labels: {alertname: Down, page: yes, port: 8080}\n", encoding="utf-8")
    ended = kintsugi("explain", "--alert", str(file))
    ((_, signal),) = night.asked
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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("just words", "is not an alert"),
        ("alerts: []", "contains 0 alerts"),
        ("alerts: [{labels: {alertname: A}}, 7]", "alert 2 is not an alert"),
        ("{", "not valid YAML or JSON"),
    ],
)
def test_a_file_without_alerts_is_a_mistake_of_usage(
    kintsugi: CommandLine, tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "alert.yaml"
    file.write_text(content, encoding="utf-8")
    ended = kintsugi("explain", "--alert", str(file))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


def test_a_service_is_explained_value_by_value_with_where_each_comes_from(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("explain", "web-service")
    assert night.asked == [("explain_service", "web-service")]
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["namespace", "production", "rules/web-service.yaml:8:14"] in lines
    assert ["selector", "app=web-app", "derived"] in lines
    assert lines[-1][0] == "web-service-pods-unhealthy"
    assert lines[-1][-1] == "rules/any-service.yaml:6:18"
    told = json.loads(kintsugi("explain", "web-service", "-o", "json").out)
    assert told["values"][1] == {"key": "selector", "value": "app=web-app", "place": ""}
    unknown = kintsugi("explain", "nothing")
    assert unknown.code != 0
    assert "no service nothing" in unknown.err


@pytest.mark.parametrize(
    "arguments", [(), ("--pod", "a/b", "--alert", "x"), ("web", "--pod", "a/b"), ("--pod", "no-namespace")]
)
def test_explain_wants_one_thing(kintsugi: CommandLine, arguments: tuple[str, ...]) -> None:
    assert kintsugi("explain", *arguments).code == 2
