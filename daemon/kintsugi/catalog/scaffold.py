"""
The first documents that `kintsugi init` writes: for each workload a Service, and in comments its derived values; and
for the cluster the kinds that steps may read besides the built-in ones.

Pure. The documents are valid as they are written.
"""

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kintsugi.catalog.build import HEALTHY
from kintsugi.model.hosts import ServiceHost
from kintsugi.model.services import WorkloadRef
from kubeobjects.resources import Resource

KINDS_FILE = "kinds.yaml"
"""The name of the file of the kinds that are not built in."""

_LONGEST = 45
"""Of a service's name, so that the names of the rules that every service gets are no longer than 63 letters."""

_PLAIN = re.compile(r"[a-zA-Z][-a-z0-9./=,_A-Z]*[a-z0-9A-Z]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})

_SERVICE = """\
# {workload} in {namespace}, as `kintsugi init` found it. Comments show derived values; set a key to change its value
# (docs/rules.md). Check it with `kintsugi validate {folder}`.{managed}
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {service}}}
spec:
  namespace: {quoted}
  workload: {reference}
  # selector: {selector}
  # healthy: {healthy}
  # runbook: workload-recovery              # undoes a bad rollout, restarts pods if that may help, else notifies a person
  # priority: 1000                          # 1 is repaired first: a lower number for services that others need
  # dependsOn: [{upstreams}]{space}# the services that this one needs; it waits while one of them does not serve
  # rules: {{}}                               # those that every service gets (kintsugi explain {service}), as in {{alerts: {{enabled: false}}}}
"""

_NO_CHECK = """\
  # A ready pod may not answer yet: a check asks the service itself, and a rule uses the list `smoke`.
  # checks:
  #   smoke:
  #     - id: health
  #       run: curl http://NAME.{namespace}/health
  #       expect: status == 200
"""

_CHECK = """\
  checks:                                   # a ready pod may not answer yet: a check asks the service itself
    smoke:
      - id: health
        run: {command}
        expect: status == 200
"""

_FOUND = """\
# The types of objects that the cluster serves besides those that are built in, as `kintsugi init` found them: steps may
# name them (docs/runbooks.md). It is what /api and /apis answer, without what is not needed; `kintsugi init`
# writes it anew.
"""
_KINDS = """\
apiVersion: apidiscovery.k8s.io/v2
kind: APIGroupDiscoveryList
items:
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundWorkload:
    """
    A workload of the cluster; `selector` as kubectl's -l has it, `managers` name those that would revert a change.

    `kube_services` name the Kubernetes Services that lead to its pods. `check` is the URL at which one of them answers
    the readiness probe's request, "" for none. `hosts` are the Kubernetes Services that its variables name.
    """

    workload: WorkloadRef
    namespace: str
    selector: str
    managers: Sequence[str] = ()
    kube_services: Sequence[str] = ()
    check: str = ""
    hosts: frozenset[ServiceHost] = frozenset()


def upstreams_of(found: FoundWorkload, all_of_them: Mapping[str, FoundWorkload]) -> tuple[str, ...]:
    """Return the services whose Kubernetes Services the variables of a workload name, of all by their names."""
    return tuple(
        sorted(
            name
            for name, each in all_of_them.items()
            if each is not found
            and any(ServiceHost(service=one, namespace=each.namespace) in found.hosts for one in each.kube_services)
        )
    )


def file_names(workloads: Sequence[tuple[str, WorkloadRef]]) -> tuple[str, ...]:
    """
    Return the name of each workload's file, without `.yaml`, and of its service, from its namespace and reference.

    It is the workload's name; where several share one, their types are put before it, and where that is not enough,
    their namespaces, or else a digest behind it.
    """
    named = [
        (
            name,
            f"{each.resource.singular}-{name}",
            f"{namespace}-{each.resource.singular}-{name}",
            f"{name[: _LONGEST - 9]}-{hashlib.sha256(f'{namespace}/{each}'.encode()).hexdigest()[:8]}",
        )
        for namespace, each in workloads
        for name in [each.name.replace(".", "-")]
    ]
    times = Counter(name[:_LONGEST] for names in named for name in names)
    unique = ([name for name in names if times[name[:_LONGEST]] == 1] for names in named)
    return tuple(([*found, names[-1]])[0][:_LONGEST].rstrip("-") for found, names in zip(unique, named, strict=True))


def document(found: FoundWorkload, service: str, folder: str, upstreams: Sequence[str] = ()) -> str:
    """Write the document of a workload under the name of its service, for a folder, with the upstreams that it likely has."""
    managed = (
        f"\n# {_comment(' and '.join(found.managers))} would revert changes of its template: Kintsugi refuses those."
        if found.managers
        else ""
    )
    written = _SERVICE.format(
        workload=_comment(str(found.workload)),
        namespace=_comment(found.namespace),
        quoted=_scalar(found.namespace),
        folder=_comment(folder),
        managed=managed,
        service=_scalar(service),
        reference=_scalar(str(found.workload)),
        selector=_comment(found.selector),
        healthy=HEALTHY,
        upstreams=(named := ", ".join(upstreams)),
        space=" " * max(1, 27 - len(named)),
    )
    if not found.check:
        return written + _NO_CHECK.format(namespace=_comment(found.namespace))
    command = f"curl {'-k ' if found.check.startswith('https:') else ''}{shlex.quote(found.check.replace('${', '$${'))}"
    return written + _CHECK.format(command=json.dumps(command))


def kinds_document(kinds: Sequence[Resource], comment: str = _FOUND) -> str:
    """Write the kinds of a cluster as `APIGroupDiscoveryList`, each in its preferred version, the first one."""
    preferred: dict[tuple[str, str], Resource] = {}
    for each in kinds:
        preferred.setdefault((each.group, each.plural), each)
    versions: dict[str, dict[str, list[Resource]]] = {}
    for each in preferred.values():
        versions.setdefault(each.group, {}).setdefault(each.version, []).append(each)
    lines: list[str] = []
    for group, by_version in versions.items():
        lines += [f"  - metadata: {{{f'name: {_scalar(group)}' if group else ''}}}", "    versions:"]
        for version, found in by_version.items():
            lines += [f"      - version: {_scalar(version)}", "        resources:", *map(_resource_line, found)]
    return comment + _KINDS + "".join(f"{line}\n" for line in lines)


def _resource_line(kind: Resource) -> str:
    parts = [
        f"resource: {_scalar(kind.plural)}",
        f"singularResource: {_scalar(kind.singular.partition('.')[0])}",
        *([f"shortNames: [{', '.join(map(_scalar, kind.short))}]"] if kind.short else []),
        f"scope: {'Namespaced' if kind.namespaced else 'Cluster'}",
        f"responseKind: {{kind: {_scalar(kind.kind)}}}",
        "verbs: [get, list]",
    ]
    return f"          - {{{', '.join(parts)}}}"


def _comment(text: str) -> str:
    """Write a text so that it does not leave the line of its comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as one."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)
