"""Every mistake is told with its place and with what would be right; all of them together, each once."""

import pytest

from kintsugi.model.max_allowed import MaxAllowed
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, loaded, problems, runbook, said


def test_right_documents_make_a_catalog() -> None:
    catalog = loaded(SERVICE, RULE, RUNBOOK)
    assert (list(catalog.services), list(catalog.rules), list(catalog.runbooks)) == (["web"], ["pods"], ["mend"])
    assert catalog.runbook_of(catalog.rules["pods"]) is catalog.runbooks["mend"]


def wrong(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


SHAPES = [
    (
        SERVICE,
        "  priority: 2",
        "  priorty: 2",
        "a.yaml:5:3: spec.priorty: the key 'priorty' is not known here; did you mean 'priority'?",
    ),
    (SERVICE, "kind: Service", "kind: Servcie", "a.yaml:2:7: kind: `kind` must be one of"),
    (SERVICE, "kind: Service\n", "", "a document needs `kind`"),
    (SERVICE, "v1alpha1", "v1", "'kintsugi.dev/v1' is not one of 'kintsugi.dev/v1alpha1'"),
    (SERVICE, "priority: 2", "priority: high", "a.yaml:5:13: spec.priority: 'high' is not a whole number"),
    (SERVICE, "  namespace: production\n", "", "a.yaml:4:1: spec: `namespace` is missing"),
    (
        RULE,
        "name: pods",
        "name: manual",
        "b.yaml:3:18: metadata.name: 'manual' is reserved for runs that a person starts",
    ),
    (SERVICE, "name: web", "name: Web", "a.yaml:3:18: metadata.name: 'Web' is not a name"),
    (SERVICE, "dependsOn: []", "dependsOn: cache", "spec.dependsOn: 'cache' is not a list"),
    (SERVICE, "app=web", "''", "spec.selector"),
    (SERVICE, "app=web", "'app in web'", "a.yaml:8:13: spec.selector: label selector"),
    (SERVICE, "deployment/web", "deploymnt/web", "did you mean 'deployment/web'?"),
    (SERVICE, "deployment/web", "pod/web", "is not the workload of a service: write deployment/NAME"),
    (SERVICE, "deployment/web", "web", "is not the workload of a service"),
    (
        SERVICE,
        "runbook: mend",
        "runbook: mned",
        "a.yaml:11:12: spec.runbook: there is no runbook 'mned'; did you mean 'mend'?",
    ),
    (
        SERVICE,
        "dependsOn: []",
        "onUpstreamFailure: perhaps",
        "a.yaml:6:22: spec.onUpstreamFailure: 'perhaps' is not one of 'wait' or 'proceed'",
    ),
    (SERVICE, "[]", "[wbe]", "there is no other service 'wbe'"),
    (SERVICE, "[]", "[web]", "there is no other service 'web'"),
    (SERVICE, "desired > 0", "desird > 0", "a.yaml:10:12: spec.healthy: there is no name `desird` here"),
    (SERVICE, "desired > 0 && ready >= desired", "desired", "spec.healthy: the answer is a int, not a bool"),
    (
        SERVICE,
        "priority: 2",
        "priority: 2\n  maxAllowed: {memory: lots}",
        "spec.maxAllowed.memory: 'lots' is not a quantity",
    ),
    (SERVICE, "priority: 2", "priority: 2\n  maxAllowed: {cpu: '1'}", "the key 'cpu' is not known here"),
    (
        RULE,
        "on: pod",
        "on: pods",
        "spec.on: 'pods' is not one of 'pod', 'pvc', 'node', 'event', 'alert', 'services' or 'check'; did you mean 'pod'?",
    ),
    (RULE, "for: 2m", "for: 120", "spec.for: it is not a duration: write hours, minutes and seconds"),
    (RULE, "for: 2m", "for: 2d", "spec.for: '2d' is not a duration"),
    (
        RULE,
        "mode: auto",
        "mode: automatic",
        "'automatic' is not one of 'observe', 'approve' or 'auto'; did you mean 'auto'?",
    ),
    (RULE, "service: web", "service: wbe", "there is no service 'wbe'; did you mean 'web'?"),
    (RULE, "object.unhealthy", "object.unhealty", "spec.when"),
    (RULE, "object.unhealthy", "object.status.phsae == 'x'", "b.yaml:7:"),
    (RULE, "  when: object.unhealthy\n", "", "a rule on pod needs `when`"),
    (RULE, "  service: web\n", "", "`service` is missing"),
    (RULE, "on: pod", "on: alert", "a rule on alerts needs `matchers`"),
    (RUNBOOK, "id: look", "id: Look", "'Look' is not an id"),
    (RUNBOOK, "expect:", "expcet:", "the key 'expcet' is not known here; did you mean 'expect'?"),
    (RUNBOOK, "size(items)", "size(itmes)", "c.yaml:9:20: spec.steps[0].expect: there is no name `itmes` here"),
    (RUNBOOK, "get pods", "gte pods", "c.yaml:8:12: spec.steps[0].run: 'kubectl gte' is not a known command"),
    (RUNBOOK, "app=web", "app=${x}", "c.yaml:8:38: spec.steps[0].run: there is no name `x` here"),
    (RUNBOOK, "title: Mend it", "title: 5", "spec.title: 5 is not text: put it in quotes"),
]


@pytest.mark.parametrize(("text", "old", "new", "message"), SHAPES)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(text: str, old: str, new: str, message: str) -> None:
    documents = [wrong(each, old, new) if each is text else each for each in (SERVICE, RULE, RUNBOOK)]
    assert message in "\n".join(said(*documents))


def test_a_mistake_in_one_document_is_told_once_and_not_of_those_that_name_it() -> None:
    assert (
        len(said(wrong(SERVICE, "namespace", "namspace"), RULE, RUNBOOK)) == 2
    )  # the unknown key, and the missing one
    assert len(said(SERVICE, RULE, wrong(RUNBOOK, "title: Mend it", "title: 5"))) == 1


def test_all_mistakes_of_all_files_come_together_and_in_order() -> None:
    found = problems(
        wrong(wrong(SERVICE, "desired > 0", "desird > 0"), "deployment/web", "web"),
        wrong(wrong(RULE, "mode: auto", "mdoe: auto"), "object.unhealthy", "objct.unhealthy"),
        wrong(RUNBOOK, "size(items)", "size(itmes)"),
        "a: b: c",
    )
    assert [problem.file for problem in found] == ["a.yaml", "a.yaml", "b.yaml", "b.yaml", "c.yaml", "d.yaml"]
    assert found == sorted(found)


def test_a_mistake_that_follows_from_a_wrong_command_is_not_told_as_well() -> None:
    text = runbook(
        """
        - id: query
          run: psql -c 'SELECT 1'
          expect: value == 1
        - id: more
          when: steps.query.value == 1
          run: kubectl get pods -l app=${steps.query.rows}
        """
    )
    assert [problem.path for problem in problems(SERVICE, RULE, text)] == ["spec.steps[0].run"]


def test_two_documents_of_one_name_are_refused_with_the_place_of_the_first() -> None:
    (message,) = said(SERVICE, RULE, RUNBOOK, RULE)
    assert message == "d.yaml:3:18: metadata.name: there is a Rule 'pods' already, in b.yaml:3:18"


def test_no_documents_at_all_are_a_mistake() -> None:
    assert "there is no Service, Rule or Runbook" in said("# nothing\n")[0]


def test_true_and_false_are_expressions_too() -> None:
    loaded(SERVICE, wrong(RULE, "object.unhealthy", "true"), RUNBOOK)


def test_a_service_says_how_far_what_it_has_may_be_raised() -> None:
    given = wrong(SERVICE, "priority: 2", "priority: 2\n  maxAllowed: {memory: 1Gi, storage: 50Gi}")
    assert loaded(given, RULE, RUNBOOK).services["web"].max_allowed == MaxAllowed(memory="1Gi", storage="50Gi")
    assert loaded(SERVICE, RULE, RUNBOOK).services["web"].max_allowed == MaxAllowed()
