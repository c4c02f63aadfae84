"""
Who else writes an object: GitOps tools by their marks, operators by ownership.

A change that another writer would take back is not made (reliability B21: they fight, and the person loses).
"""

from kintsugi.objects.metadata import Metadata

GITOPS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations that the tools put on what they keep in line with a repository."""

OPERATORS = {
    "cnpg.io/cluster": "CloudNativePG",
    "postgres-operator.crunchydata.com/cluster": "Crunchy Postgres",
    "crunchy-pgha-scope": "Crunchy Postgres",
    "stackgres.io/cluster-name": "StackGres",
}
"""Labels that PostgreSQL's operators put on what they run; not all of them own it by reference."""

_SPILO = ("application", "spilo", "cluster-name")
"""How Zalando's operator labels its own: https://postgres-operator.readthedocs.io/en/latest/reference/operator_parameters/."""


def managers(metadata: Metadata) -> tuple[str, ...]:
    """List who keeps a workload as it is, in words: `Argo CD shop`, `operator Postgresql/main`."""
    marks = {**metadata.annotations, **metadata.labels}
    tools = {f"{tool} {marks[mark].split(':')[0]}" for mark, tool in GITOPS.items() if mark in marks}
    return (*sorted(tools), *operators(metadata))


def operators(metadata: Metadata) -> tuple[str, ...]:
    """List the operators that an object belongs to, by ownership or by their labels: `operator CloudNativePG main`."""
    owners = [f"operator {owner.kind}/{owner.name}" for owner in metadata.owner_references if owner.controller]
    labels = metadata.labels
    known = {f"operator {name} {labels[mark]}" for mark, name in OPERATORS.items() if mark in labels}
    application, spilo, cluster = _SPILO
    if labels.get(application) == spilo and cluster in labels:
        known.add(f"operator Zalando Postgres {labels[cluster]}")
    return (*owners, *sorted(known))
