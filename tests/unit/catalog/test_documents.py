"""What only shows between documents: rings, deadlines, parameters; rules that nothing starts (P9); drills that would touch anything live."""

from datetime import timedelta
from itertools import pairwise

import pytest

from kintsugi.catalog.lint import lint
from kintsugi.model.rules import RuleSource
from kintsugi.model.services import OnUpstreamFailure
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, alert_rule, checked, loaded, runbook, said


def service(name: str, depends_on: str = "[]", *, priority: int = 2, more: str = "") -> str:
    text = SERVICE.replace("name: web", f"name: {name}").replace("dependsOn: []", f"dependsOn: {depends_on}")
    return text.replace("priority: 2", f"priority: {priority}") + more


def test_services_that_depend_on_each_other_are_refused_with_the_ring() -> None:
    (message,) = said(service("web", "[api]"), service("api", "[db]"), service("db", "[web]"), RULE, RUNBOOK)
    assert "services depend on each other: " in message
    ring = message.partition("each other: ")[2].split(" -> ")
    assert ring[0] == ring[-1]
    assert sorted(ring[1:]) == ["api", "db", "web"]
    for one, other in pairwise(ring):
        assert (one, other) in {("web", "api"), ("api", "db"), ("db", "web")}


def test_a_service_without_depends_on_depends_on_all_of_higher_priority() -> None:
    without = service("web", priority=3).replace("  dependsOn: []\n", "")
    catalog = loaded(
        service("db", priority=1), service("cache"), without, service("ingress", priority=4), RULE, RUNBOOK
    )
    assert catalog.services["web"].depends_on == ("cache", "db")
    assert catalog.services["cache"].depends_on == ()


def test_services_of_equal_priority_do_not_wait_for_each_other() -> None:
    both = [service(name, priority=3).replace("  dependsOn: []\n", "") for name in ("web", "mail")]
    catalog = loaded(service("db", priority=1), *both, RULE, RUNBOOK)
    assert {catalog.services[name].depends_on for name in ("web", "mail")} == {("db",)}


@pytest.mark.parametrize(
    ("written", "means"),
    [("", OnUpstreamFailure.WAIT), ("wait", OnUpstreamFailure.WAIT), ("proceed", OnUpstreamFailure.PROCEED)],
)
def test_a_service_says_what_follows_when_its_upstream_fails(written: str, means: OnUpstreamFailure) -> None:
    more = f"  onUpstreamFailure: {written}\n" if written else ""
    text = SERVICE.replace("  dependsOn: []\n", f"  dependsOn: []\n{more}")
    assert loaded(text, RULE, RUNBOOK).services["web"].on_upstream_failure is means


def test_runbooks_that_run_each_other_are_refused_with_the_ring() -> None:
    messages = said(
        SERVICE,
        RULE,
        runbook("- {id: a, runbook: other}"),
        runbook("- {id: g, parallel: [{id: a, runbook: mend}]}", name="other"),
    )
    assert len(messages) == 1
    assert "runbooks run each other in a cycle: " in messages[0]
    assert ".runbook:" in messages[0]


def test_a_runbook_that_runs_itself_is_refused() -> None:
    (message,) = said(SERVICE, RULE, runbook("- {id: a, runbook: mend}"))
    assert message == "c.yaml:7:24: spec.steps[0].runbook: runbooks run each other in a cycle: mend -> mend"


def test_a_child_that_may_take_longer_than_its_parent_is_refused() -> None:
    child = runbook("- {id: a, run: kubectl get pods}", name="child", more="rollback: {after: 2h}")
    (message,) = said(SERVICE, RULE, runbook("- {id: a, runbook: child}"), child)
    assert message.startswith("c.yaml:7:24: spec.steps[0].runbook: child may take 2h, longer than")
    assert loaded(SERVICE, RULE, runbook("- {id: a, runbook: child}", more="rollback: {after: 2h}"), child)


def test_runbooks_that_are_nested_too_deep_are_refused() -> None:
    chain = [runbook(f"- {{id: a, runbook: r{number + 1}}}", name=f"r{number}") for number in range(5)]
    last = runbook("- {id: a, run: kubectl get pods}", name="r5")
    messages = said(SERVICE.replace("mend", "r0"), RULE, *chain, last)
    assert len(messages) == 1
    assert "nested more than 5 deep" in messages[0]


PARAMETERS = """\
parameters:
  n: {type: integer, default: 3}
  age: {type: duration, default: 26h}
  writers: {type: [workload], default: []}
  where: {type: url}
"""
TAKES = runbook("- {id: a, run: 'kubectl scale deployment web --replicas=${params.n}'}", more=PARAMETERS)


def test_the_values_of_with_are_read_by_the_types_of_the_parameters() -> None:
    given = "  parameters: {n: 5, age: 1h30m, writers: [deployment/a, sts/b], where: 'http://x'}\n"
    catalog = loaded(SERVICE + given, RULE, TAKES)
    assert catalog.services["web"].parameters == {
        "n": 5,
        "age": timedelta(minutes=90),
        "writers": ("deployment/a", "sts/b"),
        "where": "http://x",
    }
    assert [each.default for each in catalog.runbooks["mend"].parameters] == [3, timedelta(hours=26), (), None]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("n: five", "a.yaml:12:19: spec.parameters.n: 'five' is not a whole number (n is of type integer)"),
        ("n: true", "True is not a whole number"),
        ("age: 90", "90 is not a duration"),
        ("age: 2d", "'2d' is not a duration"),
        ("writers: deployment/a", "'deployment/a' is not a list"),
        ("writers: [web]", "'web' is not TYPE/NAME"),
        ("where: ftp://x", "'ftp://x' is not a URL that begins with http:// or https://"),
        ("wheer: http://x", "no runbook of this service takes a parameter 'wheer'; did you mean 'where'?"),
        ("n: 3", "runbook mend needs where: give a value under `parameters`, or the runbook a default"),
    ],
)
def test_a_wrong_value_under_parameters_is_refused(given: str, message: str) -> None:
    assert message in "\n".join(said(SERVICE + f"  parameters: {{{given}}}\n", RULE, TAKES))


def test_a_parameter_of_a_child_runbook_may_be_given_too() -> None:
    parent = runbook("- {id: a, runbook: child}")
    child = TAKES.replace("name: mend", "name: child")
    catalog = loaded(SERVICE + "  parameters: {where: 'http://x'}\n", RULE, parent, child)
    assert catalog.services["web"].parameters == {"where": "http://x"}


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("{type: integr, default: 1}", "there is no type of parameter 'integr'; did you mean 'integer'?"),
        ("{type: integer, default: x}", "'x' is not a whole number"),
        ("{type: integer, from: alert.name}", "from: 'alert.name' is no text of an alert: write alert.labels.NAME"),
        ("{type: [name, url], default: 1}", "spec.parameters.n.type"),
    ],
)
def test_a_wrong_parameter_is_refused(parameter: str, message: str) -> None:
    text = runbook("- {id: a, when: params.n > 0, run: kubectl get pods}", more=f"parameters: {{n: {parameter}}}")
    (complaint,) = said(SERVICE, RULE, text)
    assert message in complaint


def test_an_alert_gives_no_workload_which_says_what_a_section_may_stop() -> None:
    text = runbook("- {id: a, run: kubectl get pods}", more="parameters: {n: {type: workload, from: alert.labels.pod}}")
    (complaint,) = said(SERVICE, RULE, text)
    assert "an alert gives no value of type workload: use one of integer, " in complaint


ALL = RULE.replace("name: pods", "name: many").replace("on: pod", "on: services").replace("  service: web\n", "")
MANY = ALL.replace("object.unhealthy", "size(services.filter(s, !s.healthy)) >= 3") + "  runbook: all\n"


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, expect: service.healthy}",
        "{id: a, run: kubectl get pods -l app=web}",
        "{id: a, checks: smoke}",
        "{id: a, run: 'kubectl get pods -n ${service.namespace}'}",
        "{id: a, runbook: mend}",
        "{id: a, run: kubectl delete pod web-1 -n production}",
        "{id: a, service: web, run: kubectl delete pod web-1}",
        "{id: a, parallel: [{id: b, forEach: services, service: '${each.name}', run: kubectl delete pod web-1}]}",
    ],
)
def test_a_rule_about_all_services_starts_no_runbook_that_lacks_one(step: str) -> None:
    mend = runbook("- {id: a, expect: service.healthy}")
    messages = said(ON_CHECKS, RULE, mend, MANY, runbook(f"- {step}", name="all"))
    assert len(messages) == 1, messages
    assert messages[0].startswith(
        "d.yaml:9:12: spec.runbook: a rule about all services gives its runbook no service, but step "
    )


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, expect: 'services.all(s, s.healthy)'}",
        "{id: a, run: kubectl get pods -n production}",
        "{id: a, run: kubectl get nodes}",
        "{id: a, run: curl http://web/health}",
        "{id: a, service: web, runbook: mend}",
        "{id: a, forEach: services, service: '${each.name}', runbook: mend}",
    ],
)
def test_a_rule_about_all_services_may_start_a_runbook_that_names_what_it_works_on(step: str) -> None:
    mend = runbook("- {id: a, expect: service.healthy}")
    assert said(SERVICE, RULE, mend, MANY, runbook(f"- {step}", name="all")) == []


def test_no_service_is_named_as_all_of_them_are() -> None:
    (message,) = said(
        SERVICE.replace("name: web", "name: stack"), RULE.replace("service: web", "service: stack"), RUNBOOK
    )
    assert message.startswith("a.yaml:3:18: metadata.name: 'stack' is the name of all services together")


def test_a_digest_changes_with_the_document_and_with_what_it_runs() -> None:
    parent = runbook("- {id: a, runbook: child}")
    one, other = (runbook(f"- {{id: a, run: kubectl get {what}}}", name="child") for what in ("pods", "nodes"))
    before, after = loaded(SERVICE, RULE, parent, one), loaded(SERVICE, RULE, parent, other)
    again = loaded(RULE, "# a comment\n" + parent, SERVICE, one)
    assert before.runbooks["mend"].digest != after.runbooks["mend"].digest
    assert before.digest != after.digest
    assert (again.digest, again.runbooks["mend"].digest) == (before.digest, before.runbooks["mend"].digest)
    assert before.rules["pods"].digest == after.rules["pods"].digest


CHECKED = """\
  checks:
    integrity:
      - {id: rows, run: "kubectl exec deployment/web -- psql -d app -c 'SELECT 1'", expect: value == 1}
"""
DRILLED = f"{SERVICE}{CHECKED}  parameters: {{database: app}}\n  drill: {{runbook: try, schedule: '0 4 * * 0'}}\n"
MORE = "parameters: {database: {type: name}}\n"
RESTORE = "pg_restore -e -1 -h localhost -U postgres -d kintsugi_drill_${incident.id} /backups/a.dump"
ON_THE_LIVE_SERVER = RESTORE.replace("localhost", "database")


def drill(steps: str = f"- {{id: restore, run: '{RESTORE}'}}", *, more: str = MORE) -> str:
    """Write the runbook of a drill."""
    return runbook(steps, more=more, name="try")


def test_a_right_drill_is_loaded_with_its_schedule() -> None:
    """And the shipped name of the runbook is the default."""
    terms = loaded(DRILLED, RUNBOOK, drill()).services["web"].drill
    assert terms is not None
    assert (terms.runbook, terms.schedule) == ("try", "0 4 * * 0")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("- {id: restart, run: kubectl rollout restart deployment/web}", "a drill changes nothing live"),
        ("- {id: kill, run: kubectl delete pod web-1}", "a drill changes nothing live"),
        ("- {id: inside, steps: [{id: scale, run: kubectl scale deployment/web --replicas=0}]}", "nothing live"),
        ("- {id: live, run: 'pg_restore -e -1 -h database -U postgres -d app /backups/a.dump'}", "a scratch database"),
        (
            "- {id: live, run: 'pg_restore -e -1 -h database -U postgres -d ${params.database} /backups/a.dump'}",
            "a scratch database",
        ),
        (f"- {{id: live, run: '{ON_THE_LIVE_SERVER}'}}", "a server of its own, which ends with its Job"),
        (
            "- {id: live, run: 'pg_restore -e -1 -h localhost -U postgres -d app /backups/a.dump'}",
            "kintsugi_drill_NAME",
        ),
        ("- {id: others, runbook: mend}", "runs no other runbook"),
        ("- {id: ask, approve: May it?}", "a drill never asks for approval"),
    ],
)
def test_a_runbook_of_drills_may_change_nothing_live(steps: str, says: str) -> None:
    """P7, P10: whatever its author meant."""
    told = said(DRILLED, RUNBOOK, drill(steps))
    assert any(says in problem for problem in told), told


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (DRILLED.replace("0 4 * * 0", "0 99 * * 0"), "bad hour"),
        (DRILLED.replace("runbook: try", "runbook: tri"), "there is no runbook 'tri'"),
        (DRILLED.replace("-d app", "-d crm"), "write one that asks app"),
        (DRILLED.replace(CHECKED, ""), "write one that asks app"),
        (DRILLED.replace("parameters: {database: app}", "parameters: {}"), "runbook try needs database"),
    ],
)
def test_a_service_whose_drill_would_prove_nothing_is_told(service: str, says: str) -> None:
    """With what would be right."""
    told = said(service, RUNBOOK, drill())
    assert any(says in problem for problem in told), told


def test_a_runbook_that_is_nobodys_drill_may_do_what_it_likes() -> None:
    """The rules are for what is run as a drill."""
    restarting = runbook("- {id: restart, run: kubectl rollout restart deployment/web}", name="try")
    assert said(SERVICE, RUNBOOK, restarting) == []


ON_CHECKS = checked("{id: health, run: curl http://web/health, expect: status == 200}")
ON_CHECK = RULE.replace("on: pod", "on: check").replace("  when: object.unhealthy\n", "  check: smoke\n  every: 1m\n")


def test_a_check_is_asked_as_often_as_its_rule_says_and_every_half_minute_by_default() -> None:
    rule = loaded(ON_CHECKS, ON_CHECK, RUNBOOK, durations=0.1).rules["pods"]
    assert (rule.on, rule.check, rule.every) == (RuleSource.CHECK, "smoke", timedelta(seconds=6))
    usual = loaded(ON_CHECKS, ON_CHECK.replace("  every: 1m\n", ""), RUNBOOK).rules["pods"]
    assert usual.every == timedelta(seconds=30)


def test_when_narrows_a_rule_on_a_check_by_what_is_seen_of_its_service() -> None:
    rule = loaded(ON_CHECKS, ON_CHECK.replace("  every: 1m\n", "  when: service.serving\n"), RUNBOOK).rules["pods"]
    assert rule.when is not None
    assert (rule.when.source, rule.check) == ("service.serving", "smoke")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("check: smoke", "check: smok", "there is no list of checks of web called 'smok'; did you mean 'smoke'?"),
        ("  check: smoke\n", "", "a rule on a check needs `check`"),
        ("every: 1m", "every: 1s", "`every` is between 5s and 1h"),
        ("every: 1m", "when: object.unhealthy", "object"),
        ("on: check", "on: services\n  when: 'true'", "`check` and `every` are for rules on a check"),
    ],
)
def test_a_mistake_in_a_rule_on_a_check_is_told(old: str, new: str, words: str) -> None:
    told = said(ON_CHECKS, ON_CHECK.replace(old, new), RUNBOOK)
    assert any(words in line for line in told), told


def warnings(text: str) -> list[str]:
    """Return what is warned of, for one rule with its service and runbook."""
    return [str(each) for each in lint(loaded(SERVICE, RUNBOOK, text))]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (alert_rule("alertname=Down", "namespace=staging"), "alerts of another namespace start nothing"),
        (alert_rule("alertname=Down", 'namespace=""'), "write `namespace: any`"),
        (alert_rule("alertname=Down", "pod=a", "pod=b"), "no alert has pod=a and pod=b"),
    ],
)
def test_a_rule_that_could_never_start_is_warned_of(text: str, why: str) -> None:
    (warning,) = warnings(text)
    assert "c.yaml:3" in warning
    assert "rule told can never start" in warning
    assert why in warning


@pytest.mark.parametrize(
    "text",
    [
        alert_rule("alertname=Down"),
        alert_rule("alertname=Down", "namespace=production"),
        alert_rule("alertname=Down", 'namespace=""', more="  namespace: any\n"),
        alert_rule("alertname=Down", "shop=web"),
    ],
)
def test_a_rule_that_could_start_is_not(text: str) -> None:
    assert warnings(text) == []


def test_only_rules_on_alerts_say_where_alerts_may_come_from() -> None:
    text = (
        alert_rule()
        .replace("on: alert", "on: pod\n  when: object.unhealthy\n  namespace: any")
        .replace("  matchers: []\n", "")
    )
    (problem,) = said(SERVICE, RUNBOOK, text)
    assert "`namespace: any` is for rules on alerts" in problem


@pytest.mark.parametrize("label", ["shop=web", "env=production", "team=payments"])
def test_no_label_is_a_name_of_a_service(label: str) -> None:
    """Alerts of other clusters have it, too: whose an alert without a namespace is, a rule's author says in so many words."""
    assert not loaded(SERVICE, RUNBOOK, alert_rule("alertname=Down", label)).rules["told"].any_namespace


def test_a_rule_on_alerts_that_names_no_service_is_warned_of() -> None:
    about_all = alert_rule("alertname=Down", more="  runbook: nodes\n").replace("  service: web\n", "")
    nodes = runbook("- {id: nodes, run: kubectl get nodes}", name="nodes")
    (warning,) = warnings(f"{about_all}---\n{nodes}")
    assert "rule told names no service: one of its alerts starts nodes for all services" in warning


def test_a_service_where_nothing_is_ever_changed_is_warned_of() -> None:
    dns = SERVICE.replace("name: web", "name: dns").replace("namespace: production", "namespace: kube-system")
    (warning,) = warnings(f"{alert_rule('alertname=Down')}---\n{dns}")
    assert warning.startswith("service dns is in kube-system, a namespace of the cluster itself")
