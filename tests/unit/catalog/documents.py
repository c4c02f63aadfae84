"""Small right documents, to be made wrong in one place each."""

from textwrap import dedent

from kintsugi.catalog import CatalogErrors, Problem, Source, load_sources
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


def runbook(steps: str, *, more: str = "", name: str = "mend") -> str:
    """Write a runbook with these steps; `more` are further keys of its spec."""
    head = f"apiVersion: kintsugi.dev/v1alpha1\nkind: Runbook\nmetadata: {{name: {name}}}\nspec:\n  title: Mend it\n"
    body = "".join(f"    {line}\n" for line in dedent(steps).strip().splitlines())
    rest = "".join(f"  {line}\n" for line in dedent(more).strip().splitlines())
    return f"{head}{rest}  steps:\n{body}"


def loaded(*texts: str, durations: float = 1.0) -> Catalog:
    """Load documents, each as a file of its own: a.yaml, b.yaml, …"""
    sources = [Source(name=f"{chr(97 + index)}.yaml", content=text.encode()) for index, text in enumerate(texts)]
    return load_sources(sources, durations=durations)


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
