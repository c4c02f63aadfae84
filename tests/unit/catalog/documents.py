"""Small right documents, to be made wrong in one place each."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from kintsugi.catalog import CatalogErrors, Problem, Source, catalog_paths, load, load_sources
from kintsugi.expressions import Expression
from kintsugi.model.catalog import Catalog

SERVICE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: web}
spec:
  priority: 2
  dependsOn: []
  namespace: production
  selector: app=web
  workload: deployment/web
  healthy: desired > 0 && ready >= desired
  runbook: mend
"""

RULE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: pods}
spec:
  on: pod
  service: web
  when: object.unhealthy
  for: 2m
  mode: auto
"""

RUNBOOK = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
  title: Mend it
  steps:
    - id: look
      run: kubectl get pods -l app=web
      expect: size(items) > 0
"""


def checked(check: str) -> str:
    """Write the service with this one check of the list `smoke`."""
    return f"{SERVICE}  checks:\n    smoke:\n      - {check}\n"


def runbook(steps: str, *, more: str = "", name: str = "mend") -> str:
    """Write a runbook with these steps; `more` are further keys of its spec."""
    head = f"apiVersion: kintsugi.dev/v1alpha1\nkind: Runbook\nmetadata: {{name: {name}}}\nspec:\n  title: Mend it\n"
    body = "".join(f"    {line}\n" for line in dedent(steps).strip().splitlines())
    rest = "".join(f"  {line}\n" for line in dedent(more).strip().splitlines())
    return f"{head}{rest}  steps:\n{body}"


def alert_rule(*matchers: str, more: str = "") -> str:
    """Write a rule on alerts of the service."""
    head = "apiVersion: kintsugi.dev/v1alpha1\nkind: Rule\nmetadata: {name: told}\nspec:\n  on: alert\n  service: web\n"
    return f"{head}{more}  matchers: [{', '.join(matchers)}]\n"


def loaded(*texts: str, durations: float = 1.0) -> Catalog:
    """Load documents, each as a file of its own: a.yaml, b.yaml, …"""
    sources = [Source(name=f"{chr(97 + index)}.yaml", content=text.encode()) for index, text in enumerate(texts)]
    return load_sources(sources, durations=durations)


def added(folder: Path, *documents: str, example: bool = False) -> Catalog:
    """Load the shipped documents with some of one's own."""
    (folder / "own.yaml").write_text("---\n".join(documents))
    return load(catalog_paths(None, [folder], example=example))


def problems(*texts: str) -> list[Problem]:
    """Load documents and give what is wrong with them."""
    try:
        loaded(*texts)
    except CatalogErrors as errors:
        return list(errors.problems)
    return []


def said(*texts: str) -> list[str]:
    """Load documents and give what is wrong with them, as it is shown."""
    return [str(problem) for problem in problems(*texts)]


def answer(expression: Expression | None, names: Mapping[str, object]) -> object:
    """Evaluate an expression that a document must have."""
    assert expression is not None
    return expression.evaluate(names)
