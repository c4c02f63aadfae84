"""Documents in the spelling before the Kubernetes API conventions: refused key by key, rewritten by `fmt`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kintsugi.catalog import Source, read_sources, shipped_paths
from kintsugi.catalog.rewrite import Rewritten, rewrite
from kintsugi.catalog.source import Document, documents
from kintsugi.catalog.spellings import FIELDS, FUNCTIONS, KEYS, VALUES
from kintsugi.model.runbooks import OnFailure, Parallel, RollbackPolicy, RollbackThen, UndoStep
from kintsugi.model.services import OnUpstreamFailure
from tests.unit.catalog.documents import RULE, SERVICE, loaded, said

EARLIER = Path(__file__).parents[2] / "data" / "earlier-spelling"

ALL = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: web}
spec:
  priority: 2
  depends_on: []
  when_upstream_fails: try
  namespace: production
  selector: app=web
  workload: deployment/web
  healthy: pods.exists(p, status_of(p) == "Running")
  runbook: mend
  sql_functions: [known]
  with: {writers: [deployment/web]}       # what writes
  checks:
    smoke:
      - {id: few, run: kubectl get pods, remember: size(items)}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: alerts}
spec:
  on: alert
  match:
    # the one that says so
    - alertname=Down
  service: web
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
  title: Mend it
  parameters:
    writers: {type: [workload], default: [], help: "what writes"}
  steps:
    - id: both
      together:
        - id: stop                        # first
          for_each: params.writers
          at_once: 2
          run: kubectl scale ${each} --replicas=0
          retry: 1
        - {id: look, run: kubectl get pods, unmet: "hand-over"}
    - id: counted
      run: kubectl exec database-0 -- psql -U postgres -c 'SELECT 1 AS met, 2 AS exit_code'
      expect: >-
        rows.exists(r, r.met == 1 && r.exit_code == 2) && steps.both.met &&
        size(service.depends_on) == 0 && !steps.both.met &&
        service.ready > 0
    - id: last
      when: '!steps.counted.met'
      run: kubectl cordon ${service.pods.filter(p, crash_looping(p))[0].spec.nodeName}
      undo:
        - {id: again, run: kubectl uncordon one, unmet: continue}
    - id: back
      revert: last
  rollback:
    when: always
    then: park                            # nothing is taken back
    loses: counted
    steps:
      - {id: way, run: kubectl get pods, unmet: continue}
"""

TODAY = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: web}
spec:
  priority: 2
  dependsOn: []
  onUpstreamFailure: proceed
  namespace: production
  selector: app=web
  workload: deployment/web
  healthy: pods.exists(p, statusOf(p) == "Running")
  runbook: mend
  sqlFunctions: [known]
  parameters: {writers: [deployment/web]} # what writes
  checks:
    smoke:
      - {id: few, run: kubectl get pods, count: size(items)}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: alerts}
spec:
  on: alert
  matchers:
    # the one that says so
    - alertname=Down
  service: web
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
  title: Mend it
  parameters:
    writers: {type: [workload], default: [], description: "what writes"}
  steps:
    - id: both
      parallel:
        - id: stop                        # first
          forEach: params.writers
          maxParallel: 2
          run: kubectl scale ${each} --replicas=0
          retries: 1
        - {id: look, run: kubectl get pods, onFailure: "escalate"}
    - id: counted
      run: kubectl exec database-0 -- psql -U postgres -c 'SELECT 1 AS met, 2 AS exit_code'
      expect: >-
        rows.exists(r, r.met == 1 && r.exit_code == 2) && steps.both.passed &&
        size(service.dependsOn) == 0 && !steps.both.passed &&
        service.ready > 0
    - id: last
      when: '!steps.counted.passed'
      run: kubectl cordon ${service.pods.filter(p, crashLooping(p))[0].spec.nodeName}
      undo:
        - {id: again, run: kubectl uncordon one, onFailure: continue}
    - id: back
      undoStep: last
  rollback:
    policy: always
    then: leave                           # nothing is taken back
    dataLossCheck: counted
    steps:
      - {id: way, run: kubectl get pods, onFailure: continue}
"""


def earlier() -> dict[str, str]:
    """Return the texts of the shipped documents as they once were, by a name as a ledger keeps it."""
    return {str(file.relative_to(EARLIER)): file.read_text() for file in sorted(EARLIER.rglob("*.yaml"))}


def rewrite_one(text: str, *, upgrade: bool = True) -> Rewritten:
    """Rewrite one file."""
    (new,) = rewrite(sources({"a.yaml": text}), upgrade=upgrade)
    return new


def upgraded() -> dict[str, str]:
    """Return them as `kintsugi fmt --upgrade` writes them."""
    return {each.file: each.text for each in rewrite(sources(earlier()), upgrade=True)}


def sources(texts: Mapping[str, str]) -> list[Source]:
    """Return texts as the files of a catalog."""
    return [Source(name=name, content=text.encode()) for name, text in texts.items()]


def test_each_key_and_each_word_of_the_earlier_spelling_is_one_error_that_names_the_new_one() -> None:
    found = said(ALL)
    assert all(each.endswith("; `kintsugi fmt --upgrade FILE` rewrites it") for each in found), found
    for part, keys in KEYS.items():
        for old, new in keys.items():
            assert any(f"the key `{old}` is written `{new}` now" in each for each in found), (part, old)
    for (part, _), words in VALUES.items():
        for old, new in words.items():
            assert sum(f"the value `{old}` is written `{new}` now" in each for each in found) == 1, (part, old)
    assert "a.yaml:6:3: spec.depends_on: the key `depends_on` is written `dependsOn` now" in found[0]
    each_once = sum(map(len, KEYS.values())) + sum(map(len, VALUES.values()))
    in_expressions = ("status_of", "met", "depends_on", "met", "crash_looping")  # two of one place are one
    assert len(found) == each_once + 2 + len(in_expressions), "`unmet` stands three times"


@pytest.mark.parametrize(("old", "new"), [*FUNCTIONS.items(), *FIELDS.items()])
def test_each_function_and_field_of_the_earlier_spelling_is_an_error_that_names_the_new_one(old: str, new: str) -> None:
    used = f"{old}(p)" if old in FUNCTIONS else f"p.{old}"
    found = said(SERVICE.replace("desired > 0", f"pods.exists(p, {used} == p.x)"))
    assert [each for each in found if f"`{old}` is written `{new}` now" in each], found


def test_other_mistakes_of_a_document_are_told_at_the_same_time() -> None:
    text = SERVICE.replace("dependsOn: []", "depends_on: [wbe]").replace("desired > 0", "desird > 0")
    found = said(text, RULE)
    assert "a.yaml:6:3: spec.depends_on: the key `depends_on` is written `dependsOn` now" in found[0]
    assert "a.yaml:6:16: spec.dependsOn[0]: there is no other service 'wbe'" in found[1]
    assert "there is no name `desird` here" in found[2]


def test_a_file_is_rewritten_with_its_comments_and_quotes() -> None:
    """The comments behind a value stay in their column."""
    new = rewrite_one(ALL)
    assert new.text == TODAY
    assert new.respelled == len(said(ALL)) + 1, "a folded text has one place for both of its `met`"
    assert rewrite_one(new.text).respelled == 0


def test_without_upgrade_the_spelling_stays() -> None:
    assert rewrite_one(ALL, upgrade=False).text == ALL


def test_the_rewritten_file_means_what_the_earlier_one_did() -> None:
    catalog = loaded(TODAY)
    service, runbook = catalog.services["web"], catalog.runbooks["mend"]
    assert (service.depends_on, service.on_upstream_failure) == ((), OnUpstreamFailure.PROCEED)
    both, _, _, back = runbook.steps
    assert isinstance(both.do, Parallel)
    assert isinstance(back.do, UndoStep)
    stop, look = both.do.steps
    assert (stop.max_parallel, stop.retries, look.on_failure) == (2, 1, OnFailure.ESCALATE)
    assert (runbook.rollback.policy, runbook.rollback.then) == (RollbackPolicy.ALWAYS, RollbackThen.LEAVE)
    assert runbook.rollback.data_loss_check == "counted"


def named(document: Document) -> str:
    """Return the kind and the name of a document."""
    value: Any = document.value
    return f"{value['kind']}/{value['metadata']['name']}"


def meaning(document: Document) -> Any:
    """Return a document without the descriptions of its parameters, which are for people."""
    value: Any = document.value
    parameters = value["spec"].get("parameters", {}) if value["kind"] == "Runbook" else {}
    without = {name: {key: each[key] for key in each if key != "description"} for name, each in parameters.items()}
    return {**value, "spec": {**value["spec"], "parameters": without}} if parameters else value


CHANGED_SINCE = frozenset(
    {
        "Rule/several-services-down",
        "Runbook/full-stack-recovery",
        "Runbook/workload-recovery",
        *(
            f"Service/{each}"
            for each in ("database", "cache-service", "api-service", "web-service", "ingress-controller")
        ),
    }
)
"""Documents that mean something else today; others were added."""

OF_EVERY_SERVICE = frozenset(
    f"Rule/{service}-{rule}"
    for service in ("cache", "api", "web", "ingress")
    for rule in ("pods-unhealthy", "too-few-ready", "scaled-to-zero", "alerts")
)
"""Rules that every service gets today, from one template each."""


def test_the_shipped_documents_are_the_earlier_ones_upgraded_but_for_what_has_changed_since() -> None:
    shipped = {
        named(document): meaning(document)
        for source in read_sources(shipped_paths())
        for document in documents(source.content, source.name)[0]
    }
    rewritten = {
        named(document): meaning(document)
        for name, text in upgraded().items()
        for document in documents(text.encode(), name)[0]
    }
    assert rewritten.keys() - shipped.keys() == OF_EVERY_SERVICE
    kept = rewritten.keys() - OF_EVERY_SERVICE
    assert {name for name in kept if shipped[name] != rewritten[name]} == CHANGED_SINCE


@pytest.mark.parametrize("text", ["a: [", "{a: 1, a: 2}", "a: !x 1"])
def test_a_file_that_cannot_be_read_is_not_rewritten(text: str) -> None:
    with pytest.raises(Exception, match=r"a\.yaml:[12]:\d+"):
        rewrite_one(text)
