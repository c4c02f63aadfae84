"""YAML is read as 1.2; whatever a document holds, it is loaded or refused, with every mistake at its place and what would be right (E26)."""

import copy
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.catalog import CatalogErrors, Problem, load_sources, read_sources, shipped_paths
from kintsugi.catalog.library import Source
from kintsugi.catalog.source import MOST_BYTES, documents
from kintsugi.model.services import MaxAllowed
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, checked, loaded, problems, runbook, said


def values(text: str) -> list[object]:
    found, problems = documents(text.encode(), "f.yaml")
    assert problems == []
    return [document.value for document in found]


def complaints(content: str | bytes) -> str:
    encoded = content.encode() if isinstance(content, str) else content
    return "\n".join(map(str, documents(encoded, "f.yaml")[1]))


def test_words_and_numbers_are_those_of_yaml_1_2() -> None:
    text = "on: pod\nno: yes\noff: n\noctal: 010\nnew: 0o10\nsixty: 1:30\nhex: 0x10\nt: true\nnone: ~\nempty:\nfloat: 1.5\ndate: 2024-01-01\n"
    assert values(text) == [
        {
            "on": "pod",
            "no": "yes",
            "off": "n",
            "octal": 10,
            "new": 8,
            "sixty": "1:30",
            "hex": 16,
            "t": True,
            "none": None,
            "empty": None,
            "float": 1.5,
            "date": "2024-01-01",
        }
    ]


def test_several_documents_stand_in_one_file_and_empty_ones_are_left_out() -> None:
    assert values("a: 1\n---\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_a_key_that_stands_twice_is_refused_at_the_second() -> None:
    assert complaints("a: 1\nb: 2\na: 3\n") == "f.yaml:3:1: a: 'a' is a duplicate key: the first is in line 1"


@pytest.mark.parametrize("text", ["when: !x", "when: !object.ready", "when: !x && y", "when: !(a || b)"])
def test_a_negation_that_yaml_takes_for_a_tag_is_explained(text: str) -> None:
    complaint = complaints(text)
    assert "f.yaml:1:" in complaint
    assert "quotes" in complaint
    assert "unless:" in complaint


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("- !!python/object/apply:os.system [id]", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: b: c", "needs quotes"),
        ("a: 'x", "not YAML"),
        ("a: @x", "needs quotes"),
        ("? [a]\n: 1", "key must be text"),
        ("1: x", "key must be text"),
        ("true: x", "key must be text"),
        (b"\xff\xfe\xfd", "UTF-8"),
        ("a: \x00", "not YAML"),
        ("\tb: 1", "not YAML"),
    ],
)
def test_a_document_that_is_not_plain_yaml_is_refused(content: str | bytes, why: str) -> None:
    assert why in complaints(content)


def test_a_few_aliases_are_understood() -> None:
    assert values("a: &x [1]\nb: *x\n") == [{"a": [1], "b": [1]}]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(letter)}: &{chr(letter)} [{','.join([f'*{chr(letter - 1)}'] * 9)}]\n" for letter in range(98, 115)
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "more than 50 uses of aliases"),
        ("a: &x [1]\nb: [" + "*x," * 60 + "]", "more than 50 uses of aliases"),
        ("a: &a [*a]", "nested more than 32"),
        ("[" * 40 + "]" * 40, "nested more than 32"),
        ("[" * 200_000, "nest"),
        ("- " * 100_000, "nest"),
        ("{a: " * 100_000, "nest"),
        ("a: " + "x" * MOST_BYTES, "more than 1,048,576"),
    ],
    ids=["billion-laughs", "aliases", "ring", "deep", "very-deep", "very-deep-block", "very-deep-maps", "large"],
)
@pytest.mark.long
def test_a_bomb_is_refused_for_less_than_an_ordinary_document_costs(content: str, why: str) -> None:
    assert why in complaints(content)
    assert cost(content) < cost("".join(f"k{number}: {{a: [1, 2], b: x}}\n" for number in range(1200)))


def cost(content: str) -> float:
    """Return the least processor time of three readings: what else the process does comes and goes."""
    costs = []
    for _ in range(3):
        began = time.process_time()
        complaints(content)
        costs.append(time.process_time() - began)
    return min(costs)


SHIPPED: list[Any] = [
    document.value for source in read_sources(shipped_paths()) for document in documents(source.content, source.name)[0]
]
WORDS = [
    "",
    "x",
    "service",
    "deployment/x",
    "${x}",
    "true",
    "steps.a.b",
    "kubectl get pods",
    "5m",
    "web-service",
    "[",
    "items",
]
odd: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, -1, 1.5, [], {}, [{}], {"id": "a"}, *WORDS]) | st.text(
    max_size=8
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths into a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def changed(draw: st.DrawFn) -> list[Any]:
    """The shipped documents with something put somewhere, or taken away, or called otherwise."""
    all_documents = copy.deepcopy(SHIPPED)
    for _ in range(draw(st.integers(1, 3))):
        document = draw(st.sampled_from(all_documents))
        *way, last = draw(st.sampled_from(places(document)))
        parent: Any = document
        for key in way:
            parent = parent[key]
        change = draw(st.sampled_from(["put", "remove", "rename"]))
        if change == "put":
            parent[last] = copy.deepcopy(draw(odd))
        elif change == "remove" or isinstance(parent, list):
            del parent[last]
        else:
            parent[draw(st.sampled_from(["x", f"{last}s", "for", "undo", "needs", "undoStep", "steps"]))] = parent.pop(
                last
            )
    return all_documents


def refused(content: bytes) -> tuple[Problem, ...]:
    """Load a file; give what is wrong with it."""
    try:
        load_sources([Source(name="f.yaml", content=content)])
    except CatalogErrors as errors:
        return errors.problems
    return ()


@settings(max_examples=60, deadline=None)
@given(changed())
@pytest.mark.long
def test_a_changed_document_is_loaded_or_refused(changed_documents: list[Any]) -> None:
    content = yaml.dump_all(changed_documents, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()
    problems = refused(content)
    lines = content.count(b"\n") + 1
    assert all(1 <= problem.line <= lines and problem.message for problem in problems)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: str | bytes) -> None:
    encoded = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    found, problems = documents(encoded, "f.yaml")
    assert all(str(problem).startswith("f.yaml:") for problem in problems)
    assert all(document.file == "f.yaml" for document in found)


def test_right_documents_make_a_catalog() -> None:
    catalog = loaded(SERVICE, RULE, RUNBOOK)
    assert (list(catalog.services), list(catalog.rules), list(catalog.runbooks)) == (["web"], ["pods"], ["mend"])
    assert catalog.runbook_of(catalog.rules["pods"]) is catalog.runbooks["mend"]


def wrong(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


OF_SERVICE = [
    (
        "  priority: 2",
        "  priorty: 2",
        "a.yaml:5:3: spec.priorty: the key 'priorty' is not known here; did you mean 'priority'?",
    ),
    ("kind: Service", "kind: Servcie", "a.yaml:2:7: kind: `kind` must be one of"),
    ("kind: Service\n", "", "a document needs `kind`"),
    ("v1alpha1", "v1", "'kintsugi.dev/v1' is not one of 'kintsugi.dev/v1alpha1'"),
    ("priority: 2", "priority: high", "a.yaml:5:13: spec.priority: 'high' is not a whole number"),
    ("  namespace: production\n", "", "a.yaml:4:1: spec: `namespace` is missing"),
    ("name: web", "name: Web", "a.yaml:3:18: metadata.name: 'Web' is not a name"),
    ("dependsOn: []", "dependsOn: cache", "spec.dependsOn: 'cache' is not a list"),
    ("app=web", "''", "spec.selector"),
    ("app=web", "'app in web'", "a.yaml:8:13: spec.selector: label selector"),
    ("deployment/web", "deploymnt/web", "did you mean 'deployment/web'?"),
    ("deployment/web", "pod/web", "is not the workload of a service: write deployment/NAME"),
    ("deployment/web", "web", "is not the workload of a service"),
    ("runbook: mend", "runbook: mned", "a.yaml:11:12: spec.runbook: there is no runbook 'mned'; did you mean 'mend'?"),
    (
        "dependsOn: []",
        "onUpstreamFailure: perhaps",
        "a.yaml:6:22: spec.onUpstreamFailure: 'perhaps' is not one of 'wait' or 'proceed'",
    ),
    ("[]", "[wbe]", "there is no other service 'wbe'"),
    ("[]", "[web]", "there is no other service 'web'"),
    ("desired > 0", "desird > 0", "a.yaml:10:12: spec.healthy: there is no name `desird` here"),
    ("desired > 0 && ready >= desired", "desired", "spec.healthy: the answer is a int, not a bool"),
    ("priority: 2", "priority: 2\n  maxAllowed: {memory: lots}", "spec.maxAllowed.memory: 'lots' is not a quantity"),
    ("priority: 2", "priority: 2\n  maxAllowed: {cpu: '1'}", "the key 'cpu' is not known here"),
]
OF_RULE = [
    ("name: pods", "name: manual", "b.yaml:3:18: metadata.name: 'manual' is reserved for runs that a person starts"),
    (
        "on: pod",
        "on: pods",
        "spec.on: 'pods' is not one of 'pod', 'pvc', 'node', 'event', 'alert', 'services' or 'check'; did you mean 'pod'?",
    ),
    ("for: 2m", "for: 120", "spec.for: it is not a duration: write hours, minutes and seconds"),
    ("for: 2m", "for: 2d", "spec.for: '2d' is not a duration"),
    ("mode: auto", "mode: atuo", "'atuo' is not one of 'observe', 'approve' or 'auto'; did you mean 'auto'?"),
    ("service: web", "service: wbe", "there is no service 'wbe'; did you mean 'web'?"),
    ("object.unhealthy", "object.unhealty", "spec.when"),
    ("object.unhealthy", "object.status.phsae == 'x'", "b.yaml:7:"),
    ("  when: object.unhealthy\n", "", "a rule on pod needs `when`"),
    ("  service: web\n", "", "`service` is missing"),
    ("on: pod", "on: alert", "a rule on alerts needs `matchers`"),
]
OF_RUNBOOK = [
    ("id: look", "id: Look", "'Look' is not an id"),
    ("expect:", "expcet:", "the key 'expcet' is not known here; did you mean 'expect'?"),
    ("size(items)", "size(itmes)", "c.yaml:9:20: spec.steps[0].expect: there is no name `itmes` here"),
    ("get pods", "gte pods", "c.yaml:8:12: spec.steps[0].run: 'kubectl gte' is not a known command"),
    ("app=web", "app=${x}", "c.yaml:8:36: spec.steps[0].run: kubectl get: ${x} (--selector) looks like a placeholder"),
    ("app=web", "app=${params.x}", "no name `params.x` here; declare x under the runbook's `parameters`"),
    ("title: Mend it", "title: 5", "spec.title: 5 is not text: put it in quotes"),
    ("expect:", "after: [x]\n      expect:", "the key 'after' is not known here; known are approve, checks, count"),
]
SHAPES = [
    *((SERVICE, *each) for each in OF_SERVICE),
    *((RULE, *each) for each in OF_RULE),
    *((RUNBOOK, *each) for each in OF_RUNBOOK),
]


@pytest.mark.parametrize(("text", "old", "new", "message"), SHAPES)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(text: str, old: str, new: str, message: str) -> None:
    documents = [wrong(each, old, new) if each is text else each for each in (SERVICE, RULE, RUNBOOK)]
    assert message in "\n".join(said(*documents))


def test_a_mistake_in_one_document_is_told_once_and_not_of_those_that_name_it() -> None:
    assert len(said(wrong(SERVICE, "namespace", "namspace"), RULE, RUNBOOK)) == 1
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


ONE_ROUND = {
    "an unknown key and two wrong commands": (
        """
        - {id: a, run: kubectl gte pods, colour: red}
        - {id: b, run: kubectl get pods -n NAMESPACE}
        """,
        ("[0].colour", "[0].run", "[1].run"),
    ),
    "a misspelt key, which is read as what it means": (
        "- {id: a, rnu: kubectl gte pods, timeout: 5s, expect: size(items) > 0}",
        ("[0].rnu", "[0].run"),
    ),
    "a misspelt key whose value is wrong": ("- {id: a, manul: {command: x}}", ("[0].manul", "[0].manual")),
    "a command of the wrong type, whose keys and readers are not wrong for that": (
        """
        - {id: a, run: 5, timeout: 5s, retries: 2, expect: size(items) > 0}
        - {id: b, run: "kubectl get pod ${steps.a.item} -l A", when: steps.a.items.size() > 0}
        """,
        ("[0].run", "[1].run"),
    ),
    "a step that is no map, which may be the one that others name": (
        """
        - id: all
          parallel: [kubectl get pods, {id: b, run: kubectl gte pods, needs: [a]}]
        - {id: c, run: kubectl get pods, expect: size(steps.a.items) > 0}
        """,
        ("[0].parallel[0]", "[0].parallel[1].run"),
    ),
    "a missing id beside an unknown step in another place": (
        "- {run: kubectl gte pods}\n- {id: b, undoStep: a}",
        ("[0]", "[0].run"),
    ),
    "an unknown need and a wrong command": (
        "- {id: g, parallel: [{id: a, run: kubectl gte pods}, {id: b, run: nc -z w 80, needs: [a, z], forr: 5s}]}",
        ("[0].parallel[0].run", "[0].parallel[1].forr", "[0].parallel[1].needs[1]", "[0].parallel[1].for"),
    ),
    "two actions": ("- {id: a, run: kubectl gte pods, runbook: x, kep: items}", ("[0]", "[0].kep", "[0].run")),
    "no action": ("- {id: a, name: x}\n- {id: b, run: kubectl gte pods}", ("[0]", "[1].run")),
    "an unknown key that may be forEach": (
        "- {id: a, loop: services, run: 'kubectl delete pod ${each.name}', expect: gone}",
        ("[0].loop", "[0].expect"),
    ),
    "an expression that YAML reads as a tag": ("- id: a\n  expect: !service.healthy", ("[0].expect",)),
    "a wrong item of a list": (
        "- {id: g, parallel: [{id: a, run: kubectl gte pods}, {id: b, run: nc -z w 80, needs: [a, {b: c}]}]}",
        ("[0].parallel[0].run", "[0].parallel[1].needs[1]"),
    ),
}


@pytest.mark.parametrize(("steps", "paths"), ONE_ROUND.values(), ids=ONE_ROUND)
def test_mistakes_of_structure_and_of_commands_are_told_in_one_round_and_each_once(
    steps: str, paths: tuple[str, ...]
) -> None:
    found = [problem.path.removeprefix("spec.steps") for problem in problems(SERVICE, RULE, runbook(steps))]
    assert sorted(found) == sorted(paths)


PARAMETERS = [
    ("parameters: {pod: {typ: string}}", ["parameters.pod.typ"]),
    ("parameters: {pod: {type: 5, default: web}}", ["parameters.pod.type"]),
    ("parameters: {pod: web}", ["parameters.pod"]),
    ("parameters: {Pod: {type: string}}", ["parameters.Pod"]),
    ("parameters: [pod]", ["parameters"]),
    ("parameters: {pod: {type: name, default: web}}\nrollback: {after: never, dataLossCheck: a}", ["rollback.after"]),
]


@pytest.mark.parametrize(("more", "paths"), PARAMETERS)
def test_a_mistake_outside_the_steps_leaves_them_to_be_checked_and_what_reads_it_is_not_wrong(
    more: str, paths: list[str]
) -> None:
    text = runbook("- {id: a, run: 'kubectl get pods -n ${params.pod} -l a=$B'}", more=more)
    for service in (SERVICE, f"{SERVICE}  parameters: {{pod: web}}\n"):
        found = sorted(problem.path.removeprefix("spec.") for problem in problems(service, RULE, text))
        assert found == [*paths, "steps[0].run"]


def test_steps_under_a_misspelt_key_are_checked_and_those_that_are_missing_are_not_asked_for() -> None:
    misspelt = runbook("- {id: a, run: kubectl gte pods}").replace("  steps:", "  stpes:")
    assert {problem.path for problem in problems(SERVICE, RULE, misspelt)} == {"spec.stpes", "spec.steps[0].run"}
    empty = runbook("[]", more="rollback: {dataLossCheck: a}")
    assert [problem.path for problem in problems(SERVICE, RULE, empty)] == ["spec.steps"]


def test_the_checks_of_a_service_are_checked_beside_one_that_is_no_step() -> None:
    text = checked("kubectl get pods\n      - {id: b, run: kubectl gte pods}")
    found = [problem.path for problem in problems(text, RULE, RUNBOOK)]
    assert found == ["spec.checks.smoke[0]", "spec.checks.smoke[1].run"]


def test_a_check_of_a_service_has_no_parameters_to_write_for_a_placeholder() -> None:
    (message,) = said(checked("{id: a, run: kubectl get pods -n NAMESPACE}"), RULE, RUNBOOK)
    assert message.endswith("NAMESPACE (--namespace) looks like a placeholder: write the value itself")


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
