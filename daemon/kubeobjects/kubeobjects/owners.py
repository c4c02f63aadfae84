"""
The other managers of an object: GitOps tools by their marks, operators by ownership.

A change that another manager would revert is not made (reliability B21).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from kubeobjects.lines import quoted
from kubeobjects.metadata import SUBDOMAIN, Metadata

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
"""
The labels that Zalando's operator sets:
https://postgres-operator.readthedocs.io/en/latest/reference/operator_parameters/.
"""


RELEASE = "meta.helm.sh/release-name"
_HELM = ("app.kubernetes.io/managed-by", "Helm", RELEASE)
"""The label and the annotation of what a Helm release has (helm.sh/helm, pkg/action/validate.go)."""

_FLUX_KUSTOMIZE, _FLUX_HELM = "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/"
_RECREATES = (
    ("argocd.argoproj.io/tracking-id", "", "argocd app sync {name}"),
    ("argocd.argoproj.io/instance", "", "argocd app sync {name}"),
    (f"{_FLUX_KUSTOMIZE}name", f"{_FLUX_KUSTOMIZE}namespace", "flux reconcile kustomization {name} -n {namespace}"),
    (f"{_FLUX_HELM}name", f"{_FLUX_HELM}namespace", "flux reconcile helmrelease {name} -n {namespace} --force"),
)
"""
The marks of a name and its namespace, and how the tool is told to make again what is missing: Flux upgrades a release whose
values are as before only with `--force`.
"""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_LONGEST_RELEASE = 53
"""Helm names releases as Kubernetes names objects, and shorter (helm.sh/helm, pkg/chart/v2/util/validate_name.go)."""


class ManagerKind(StrEnum):
    """The kind of a manager of a workload."""

    AUTOSCALER = "HPA"
    GITOPS = "GitOps"
    OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Manager:
    """One that writes a workload besides us; in words `HPA web`, `Argo CD shop`, `operator Postgresql/main`."""

    kind: ManagerKind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind is ManagerKind.GITOPS else f"{self.kind} {self.name}"


def managers(metadata: Metadata) -> tuple[Manager, ...]:
    """List who keeps a workload as it is: GitOps tools and operators."""
    marks = {**metadata.annotations, **metadata.labels}
    tools = {f"{tool} {_named(marks[mark].split(':')[0])}" for mark, tool in GITOPS.items() if mark in marks}
    return (*(Manager(kind=ManagerKind.GITOPS, name=tool) for tool in sorted(tools)), *operators(metadata))


def _named(name: str) -> str:
    return name if _NAME.fullmatch(name) else quoted(name)


def helm_release(metadata: Metadata) -> str:
    """Return the Helm release that an object is of, "" for none: its name becomes a part of commands, so Helm's pattern holds."""
    label, helm, release = _HELM
    name = metadata.annotations.get(release, "") if metadata.labels.get(label) == helm else ""
    return name if len(name) <= _LONGEST_RELEASE and SUBDOMAIN.fullmatch(name) else ""


def recreating_command(metadata: Metadata) -> str:
    """Return the command by which the tool that owns an object that is gone makes it again, "" where no tool does."""
    marks, namespace = {**metadata.annotations, **metadata.labels}, metadata.namespace
    for mark, of_namespace, command in _RECREATES:
        name, place = marks.get(mark, "").split(":")[0], marks.get(of_namespace, namespace)
        if SUBDOMAIN.fullmatch(name) and SUBDOMAIN.fullmatch(place):
            return command.format(name=name, namespace=place)
    release = helm_release(metadata)
    return f"helm get manifest {release} -n {namespace} | kubectl apply -n {namespace} -f -" if release else ""


def operators(metadata: Metadata) -> tuple[Manager, ...]:
    """List the operators that an object belongs to, by ownership or by their labels: `operator CloudNativePG main`."""
    owners = [f"{owner.kind}/{owner.name}" for owner in metadata.owner_references if owner.controller]
    labels = metadata.labels
    known = {f"{name} {labels[mark]}" for mark, name in OPERATORS.items() if mark in labels}
    application, spilo, cluster = _SPILO
    if labels.get(application) == spilo and cluster in labels:
        known.add(f"Zalando Postgres {labels[cluster]}")
    return tuple(Manager(kind=ManagerKind.OPERATOR, name=name) for name in (*owners, *sorted(known)))
