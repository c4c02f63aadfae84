"""A step sees what is over by the time it runs, and says nothing that has no meaning (E25)."""

import pytest

from kintsugi.model.runbooks import Await, InOrder, Parallel, Run, UndoPolicy
from tests.unit.catalog.documents import RULE, SERVICE, loaded, runbook, said

PATTERNS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Patterns
metadata: {name: log}
spec:
  - {match: 'FATAL:', means: failure, severity: critical}
"""
CHECKED = SERVICE + "  checks:\n    smoke:\n      - {id: a, run: curl http://web/health, expect: status == 200}\n"


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
    "the item outside of for_each": ("- {id: a, run: 'kubectl delete pod ${each}'}", "no name `each`"),
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
    "undo of what only looks": ("- {id: a, run: kubectl get pods, undo: keep}", "only changes are undone"),
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
    service = SERVICE + "  checks:\n    smoke:\n      - {id: a, run: kubectl cordon n1}\n"
    assert "kubectl cordon changes something, but checks are probes" in complaints(
        "- {id: a, checks: smoke}", service=service
    )


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
