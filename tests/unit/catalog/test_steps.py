"""A step sees what is over by the time it runs, says nothing without meaning, and says how a change is taken back (E25, P7, P8, P10)."""

import pytest

from kintsugi.catalog.lint import lint
from kintsugi.model.runbooks import Await, InOrder, Parallel, Run, UndoPolicy
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, checked, loaded, runbook, said

PATTERNS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Patterns
metadata: {name: log}
spec:
  - {match: 'FATAL:', means: failure, severity: critical}
"""
CHECKED = checked("{id: a, run: curl http://web/health, expect: status == 200}")


def complaints(steps: str, *, more: str = "", service: str = SERVICE) -> str:
    return "\n".join(said(service, RULE, runbook(steps, more=more), PATTERNS))


RIGHT = {
    "an earlier step": """
        - {id: a, run: kubectl get pod web}
        - {id: b, expect: steps.a.item.status.phase == "Running" && steps.a.ran}
        """,
    "a step inside an earlier group": """
        - id: group
          steps:
            - {id: a, run: kubectl get pods}
            - {id: b, when: size(steps.a.items) > 0, run: kubectl get nodes}
        - {id: c, expect: size(steps.a.items) > 0 && steps.group.passed}
        """,
    "a step that is needed": """
        - id: group
          parallel:
            - {id: b, needs: [a], when: size(steps.a.items) > 0, run: kubectl get nodes}
            - {id: a, run: kubectl get pods}
        """,
    "the item of forEach, in all of the step": """
        - id: a
          forEach: service.pods
          when: each.unhealthy
          run: kubectl delete pod ${each}
          expect: size(items) > 0 && each.metadata.name != ""
        """,
    "the lists of a repeated step": """
        - {id: a, forEach: service.pods, run: 'kubectl logs ${each}', scan: log}
        - {id: b, when: 'steps.a.findings.exists(f, f.severity == "critical")', run: kubectl get pods}
        """,
    "a step without a command": "- {id: a, expect: service.healthy, within: 5m, for: 30s}",
    "an approval alone": "- {id: a, approve: 'Go on with ${service.name}?'}",
    "a step taken back": """
        - {id: a, run: kubectl scale deployment web --replicas=0}
        - {id: b, undoStep: a, expect: service.ready > 0}
        """,
    "an undo of one's own": """
        - id: a
          run: kubectl cordon n1
          undo:
            - {id: back, run: 'kubectl uncordon ${steps.a.item}'}
        """,
    "each service": "- {id: a, forEach: services, service: '${each.name}', checks: smoke}",
    "another service": "- {id: a, service: web, checks: smoke}",
    "services by name": "- {id: a, unless: services.web.healthy, run: kubectl get pods}",
}


@pytest.mark.parametrize("steps", RIGHT.values(), ids=RIGHT)
def test_a_step_sees(steps: str) -> None:
    assert complaints(steps, service=CHECKED) == ""


WRONG = {
    "a later step": (
        "- {id: a, expect: size(steps.b.items) > 0}\n- {id: b, run: kubectl get pods}",
        "there is no name `steps.b.items` here",
    ),
    "its own result before it ran": ("- {id: a, when: size(items) > 0, run: kubectl get pods}", "no name `items`"),
    "a sibling that may run at the same time": (
        "- id: g\n  parallel:\n    - {id: a, run: kubectl get pods}\n    - {id: b, expect: size(steps.a.items) > 0}",
        "there is no name `steps.a.items` here",
    ),
    "the item outside of for_each": (
        "- {id: a, run: 'kubectl delete pod ${each}'}",
        "no name `each` here; it is the item of a step's `forEach`",
    ),
    "one item's result after all items": (
        "- {id: a, forEach: service.pods, run: 'kubectl get pod ${each}'}\n- {id: b, expect: steps.a.item.kind == ''}",
        "steps.a.item",
    ),
    "a parameter that is not there": ("- {id: a, expect: params.n > 0}", "params.n"),
    "a misspelt field": (
        "- {id: a, expect: service.redy > 0}",
        "ServiceView has no field `redy`; did you mean `ready`?",
    ),
    "forEach of what is no list": (
        "- {id: a, forEach: service.ready, run: kubectl get pods}",
        "it gives a int, not a list",
    ),
    "two actions": ("- {id: a, run: kubectl get pods, undoStep: b}", "a step does one thing"),
    "no action and nothing to wait for": ("- {id: a, within: 5m}", "it needs `expect` or `approve`"),
    "an id twice": (
        "- {id: a, run: kubectl get pods}\n- id: g\n  steps:\n    - {id: a, run: kubectl get pods}",
        "the id 'a' is used twice",
    ),
    "an unknown need": (
        "- id: g\n  parallel:\n    - {id: a, needs: [x], run: kubectl get pods}",
        "no step beside this one 'x'",
    ),
    "a ring of needs": (
        "- id: g\n  parallel:\n    - {id: a, needs: [b], run: kubectl get pods}\n    - {id: b, needs: [a], run: kubectl get pods}",
        "steps wait for each other: ",
    ),
    "needs outside parallel": ("- {id: a, needs: [b], run: kubectl get pods}", "steps in order need no `needs`"),
    "undoStep of a later step": (
        "- {id: a, undoStep: b}\n- {id: b, run: kubectl cordon n}",
        "no earlier step in this list 'b'",
    ),
    "a look that is needed in any case": (
        "- {id: a, run: kubectl get pods, evenIfResolved: true}",
        "only a change is skipped",
    ),
    "retries of what only looks": ("- {id: a, run: kubectl get pods, retries: 3}", "a probe has `within`"),
    "undo of what only looks": ("- {id: a, run: kubectl get pods, undo: keep}", "only changes of Kintsugi are undone"),
    "a manual step for each": ("- {id: a, manual: {text: Look.}, forEach: service.pods}", "does a manual step once"),
    "undo of a manual step": ("- {id: a, manual: {text: Look.}, undo: keep}", "only changes of Kintsugi are undone"),
    "an unknown undo": ("- {id: a, run: kubectl cordon n, undo: kep}", "did you mean 'keep'?"),
    "maxParallel without forEach": ("- {id: a, run: kubectl get pods, maxParallel: 3}", "how many items of `forEach`"),
    "scan of what is no log": ("- {id: a, run: kubectl get pods, scan: log}", "only lines of logs are scanned"),
    "keeping what changes": ("- {id: a, run: kubectl cordon n, keep: items}", "result that goes into the incident"),
    "keeping what is no list": ("- {id: a, run: nc -z a 80, keep: open}", "the answer is a bool, not a list"),
    "a name that was not kept": (
        "- {id: a, run: kubectl get pods, keep: items}\n- {id: b, expect: size(steps.a.items) > 0}",
        "there is no name `steps.a.items` here",
    ),
    "unknown patterns": (
        "- {id: a, run: kubectl logs x, scan: lgo}",
        "no Patterns document 'lgo'; did you mean 'log'?",
    ),
    "for without expect": ("- {id: a, run: kubectl get pods, for: 5m}", "`for` has no meaning here"),
    "timeout without a command": ("- {id: a, expect: service.healthy, timeout: 5m}", "`timeout` has no meaning here"),
    "progress without an end": ("- {id: a, run: kubectl logs x, progress: lines}", "`progress` has no meaning here"),
    "an unknown runbook": ("- {id: a, runbook: mned}", "there is no runbook 'mned'; did you mean 'mend'?"),
    "an unknown service": ("- {id: a, service: wbe, checks: smoke}", "there is no service 'wbe'; did you mean 'web'?"),
    "unknown checks": (
        "- {id: a, service: web, checks: smok}",
        "no list of checks of web called 'smok'; did you mean 'smoke'?",
    ),
    "no steps": ("[]", "spec.steps"),
}


@pytest.mark.parametrize(("steps", "message"), WRONG.values(), ids=WRONG)
def test_a_step_is_refused_for(steps: str, message: str) -> None:
    assert message in complaints(steps, service=CHECKED)


def test_a_runbook_of_too_many_steps_is_refused() -> None:
    rows = "\n".join(f"- {{id: a{number}, run: kubectl get pods}}" for number in range(501))
    many = "- id: g\n  steps:\n" + "\n".join(f"    {row}" for row in rows.splitlines())
    other = many.replace("id: a", "id: b").replace("id: g", "id: h")
    assert "more than 1000 steps" in complaints(f"{many}\n{other}")
    assert "spec.steps" in complaints(
        "\n".join(f"- {{id: a{number}, run: kubectl get pods}}" for number in range(1001))
    )


def test_steps_that_are_nested_too_deep_are_refused() -> None:
    deep = "- {id: a, run: kubectl get pods}"
    for level in range(7):
        inner = "\n".join(f"    {line}" for line in deep.splitlines())
        deep = f"- id: g{level}\n  steps:\n{inner}"
    assert "nested more than 6 levels deep" in complaints(deep)


def test_checks_only_look() -> None:
    service = checked("{id: a, run: kubectl cordon n1}")
    why = "kubectl cordon changes something, but checks are probes"
    assert why in complaints("- {id: a, checks: smoke}", service=service)


def test_the_values_of_a_step_are_those_of_the_file() -> None:
    catalog = loaded(
        SERVICE,
        RULE,
        runbook(
            """
            - {id: a, name: Do it, run: kubectl cordon n1, retries: 2, undo: keep, timeout: 10s, onFailure: continue}
            - {id: b, expect: service.healthy, within: 5m, for: 30s}
            - id: c
              parallel:
                - id: d
                  steps:
                    - {id: e, run: kubectl get pods}
            """
        ),
    )
    a, b, c = catalog.runbooks["mend"].steps
    assert isinstance(a.do, Run)
    assert (a.name, a.retries, a.undo, a.timeout and a.timeout.total_seconds()) == ("Do it", 2, UndoPolicy.KEEP, 10)
    assert isinstance(b.do, Await)
    assert (b.name, b.within.total_seconds(), b.for_duration.total_seconds()) == ("b", 300, 30)
    assert isinstance(c.do, Parallel)
    assert isinstance(c.do.steps[0].do, InOrder)
    assert str(b.place) == "c.yaml:8:7"


def test_every_duration_is_scaled() -> None:
    text = runbook(
        """
        - {id: a, run: kubectl rollout status deployment/web --timeout=5m, timeout: 10m}
        - {id: b, expect: service.healthy, within: 5m, for: 30s}
        """,
        more="rollback: {after: 50m}\nparameters: {wait: {type: duration, default: 100s}}",
    )
    catalog = loaded(SERVICE, RULE, text, durations=0.01)
    mend, pods = catalog.runbooks["mend"], catalog.rules["pods"]
    a, b = mend.steps
    assert isinstance(a.do, Run)
    status = a.do.command.bind({}, namespace="x")
    found = [status.timeout, a.timeout, b.within, b.for_duration, mend.rollback.after, pods.for_duration, pods.cooldown]  # type: ignore[attr-defined]
    assert [each and each.total_seconds() for each in found] == [3, 6, 3, 0.3, 30, 1.2, 6]
    assert str(mend.parameters[0].default) == "0:00:01"


UNDO = "only its author knows how to undo it"
SENDING = [
    "-X POST",
    "-X PUT",
    "-X DELETE",
    "-X PATCH",
    "-X OPTIONS",
    "-d a=b",
    "--data a=b",
    "--data-raw a=b",
    "-X GET -d a=b",
]


@pytest.mark.parametrize("flags", SENDING)
def test_a_service_s_checks_send_nothing(flags: str) -> None:
    service = checked(f"{{id: a, run: curl {flags} http://web.production/orders, expect: status == 200}}")
    problems = said(service, RUNBOOK)
    assert ["curl changes something, but checks are probes" in problem for problem in problems] == [True]


@pytest.mark.parametrize("flags", SENDING)
def test_a_runbook_says_how_a_request_is_taken_back(flags: str) -> None:
    step = f"- id: a\n  run: curl {flags} http://web.production/orders\n"
    problems = said(SERVICE, runbook(step))
    assert [UNDO in problem for problem in problems] == [True]
    for undo in ("none", "keep", "[{id: b, run: 'curl -X DELETE http://web.production/orders'}]"):
        assert said(SERVICE, runbook(f"{step}  undo: {undo}\n")) == []


def test_a_request_that_takes_back_is_not_taken_back_itself() -> None:
    back = "rollback: {steps: [{id: b, run: 'curl -X DELETE http://web.production/orders'}]}"
    step = "- id: a\n  run: curl -X POST http://web.production/orders\n  undo: keep\n"
    assert said(SERVICE, runbook(step, more=back)) == []


@pytest.mark.parametrize("flags", ["", "-I", "-X GET", "-X HEAD", "-L -f"])
def test_a_request_that_only_asks_is_a_look(flags: str) -> None:
    catalog = loaded(
        SERVICE, runbook(f"- {{id: a, run: curl {flags} http://web.production/health, expect: status == 200}}")
    )
    assert not catalog.runbooks["mend"].steps[0].do.command.changes  # type: ignore[union-attr]


def test_a_request_is_sent_once() -> None:
    step = "- {id: a, run: curl -X POST http://web.production/orders, undo: none, retries: 2}"
    problems = said(SERVICE, runbook(step))
    assert ["a request is sent once" in problem for problem in problems] == [True]


def test_no_value_decides_whether_a_request_changes_something() -> None:
    step = "- {id: a, run: 'curl -X ${params.how} http://web.production/orders', expect: status == 200}"
    (problem,) = said(SERVICE, runbook(step, more="parameters: {how: {type: string, default: GET}}"))
    assert "write the method out" in problem


VOUCHING = f"{SERVICE}  sqlFunctions: [bt_index_check, shop.are_whole]\n"
ASK = """run: psql -h db -U monitor -c "SELECT bt_index_check('orders_pkey')" """.strip()
CHECKS = f"  checks:\n    integrity:\n      - id: ask\n        {ASK}\n        expect: size(rows) > 0\n"
REFUSED = "bt_index_check is not known to be read-only"


@pytest.mark.parametrize(
    ("more", "step", "taken"),
    [
        ("service: web", "", True),
        ("", "", False),
        ("", "service: web", True),
        ("service: web", "service: ${params.which}", False),
    ],
)
def test_a_question_may_call_what_the_service_that_it_is_about_vouches_for(more: str, step: str, taken: bool) -> None:
    """What is inside a step is about the service that the step names; which one a value names, nobody knows yet."""
    steps = (
        f"- id: inside\n  {step or 'name: Inside'}\n  steps:\n    - id: ask\n      {ASK}\n      expect: size(rows) > 0"
    )
    problems = said(VOUCHING, runbook(steps, more=f"{more}\nparameters: {{which: {{type: name, default: web}}}}"))
    assert [REFUSED in problem for problem in problems] == ([] if taken else [True]), problems


def test_a_service_s_own_checks_may_call_what_it_vouches_for() -> None:
    assert said(VOUCHING + CHECKS, RUNBOOK) == []
    (problem,) = said(SERVICE + CHECKS, RUNBOOK)
    assert REFUSED in problem


def test_a_function_that_is_vouched_for_is_named_in_plain_letters() -> None:
    (problem,) = said(f"{SERVICE}  sqlFunctions: ['Pg Sleep()']\n", RUNBOOK)
    assert "sqlFunctions" in problem


DATABASE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: database}
spec:
  namespace: production
  workload: statefulset/database
  runbook: ask
  checks:
    integrity:
      - id: whole
        parallel:
          - id: orders
            run: kubectl exec statefulset/database -- psql -U postgres -c 'SELECT 1'
            expect: value > 0
"""
ASKS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: ask}
spec:
  title: Ask
  steps:
    - id: count
      run: kubectl exec ${service.workload} -- psql -U postgres -c 'SELECT 1'
"""
ASKED = "psql -U postgres -c 'SELECT 1'"
FOREIGN = {
    "public.orders": "psql -U postgres -d app -c 'SELECT count(*) FROM public.orders'",
    "shop.amount": "psql -U postgres -d app -c 'SELECT 1::shop.amount'",
    "names in shop": "psql -U postgres -d 'dbname=app options=-csearch_path=shop' -c 'SELECT count(*) FROM orders'",
}


@pytest.mark.parametrize(("what", "asked"), FOREIGN.items())
def test_a_superuser_s_question_to_what_somebody_else_owns_is_warned_of(what: str, asked: str) -> None:
    in_a_check = lint(loaded(DATABASE.replace(ASKED, asked), ASKS))
    in_a_step = lint(loaded(DATABASE, ASKS.replace(ASKED, asked)))
    assert [len(in_a_check), len(in_a_step)] == [1, 1]
    for warning, step in ((in_a_check[0], "orders"), (in_a_step[0], "count")):
        assert f"{step} asks {what} as postgres" in warning
        assert "psql -U ROLE" in warning


@pytest.mark.parametrize(
    "asked",
    [
        *(question.replace("-U postgres", "-U app") for question in FOREIGN.values()),
        "psql -U postgres -d app -c 'SELECT count(*) FROM pg_stat_user_tables'",
        "psql -U postgres -d app -c 'SHOW server_version'",
    ],
)
def test_a_question_as_another_role_or_to_the_server_s_own_catalog_is_not(asked: str) -> None:
    assert lint(loaded(DATABASE.replace(ASKED, asked), ASKS.replace(ASKED, asked))) == []
