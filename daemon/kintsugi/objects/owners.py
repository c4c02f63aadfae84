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


def managers(metadata: Metadata) -> tuple[str, ...]:
    """List who keeps a workload as it is, in words: `Argo CD shop`, `operator Postgresql/main`."""
    marks = {**metadata.annotations, **metadata.labels}
    tools = {f"{tool} {marks[mark].split(':')[0]}" for mark, tool in GITOPS.items() if mark in marks}
    operators = [f"operator {owner.kind}/{owner.name}" for owner in metadata.owner_references if owner.controller]
    return (*sorted(tools), *operators)
