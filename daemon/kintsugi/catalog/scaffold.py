"""
The first documents of a workload, as `kintsugi init` writes them: a Service, and rules that only report.

Pure. What they say is right as it stands; their comments say what a person would change next.
"""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from kintsugi.model.services import WorkloadRef
from kubeobjects.resources import DEPLOYMENTS

_LONGEST = 47
"""Of a service's name, so that the names of its rules are no longer than 63 letters."""

_PLAIN = re.compile(r"[a-z][-a-z0-9./=,_A-Z]*[a-z0-9A-Z]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})

_DOCUMENTS = """\
# {workload} in {place}, as `kintsugi init` found it. All of it is yours to change; docs/rules.md says what there is.
# Check it with `kintsugi validate --with-shipped`.{managed}
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {service}}}
spec:
  priority: 3                               # 1 is mended first: a lower number for what others need
  dependsOn: []                             # the services that this one needs; it waits while one of them does not serve
  namespace: {namespace}
  selector: {selector}
  workload: {reference}
  healthy: {healthy}
  runbook: workload-recovery                # takes a bad rollout back, restarts what a restart may help; or your own
{checks}---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {pods}}}
spec:
  on: pod
  service: {service}
  when: unhealthy(object)
  for: 2m
  mode: observe                             # only says so; then approve, which asks a person first, or auto, which acts
  cooldown: 10m
---
# Too few pods are ready, or a rollout is stuck beside old pods that serve. Scaled to 0 it counts as stopped by somebody.
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {few}}}
spec:
  on: services
  service: {service}
  when: service.desired > 0 && !service.healthy
  for: 5m
  mode: observe
  cooldown: 10m
"""

_NO_CHECK = """\
  # Being ready is not yet answering. A check asks the service itself; a rule `on: check` acts by it:
  # checks:
  #   smoke:
  #     - id: health
  #       run: curl http://NAME.{place}/health
  #       expect: status == 200
"""

_CHECK = """\
  checks:                                   # being ready is not yet answering: a check asks the service itself
    smoke:
      - id: health
        run: {command}
        expect: status == 200
"""

_RULE_ON_CHECK = """\
---
# Its pods are ready, and it does not answer through its Service.
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {answers}}}
spec:
  on: check
  service: {service}
  check: smoke
  when: service.serving                     # while no pod is ready, the other rules see it
  every: 30s
  for: 2m
  mode: observe
  cooldown: 10m
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundWorkload:
    """
    A workload of the cluster; `selector` as kubectl's -l has it, `managers` name who keeps it as it is.

    `check` is the URL at which its Service answers what its readiness probe asks, "" where there is none.
    """

    workload: WorkloadRef
    namespace: str
    selector: str
    managers: Sequence[str] = ()
    check: str = ""


def file_names(workloads: Sequence[WorkloadRef]) -> tuple[str, ...]:
    """Return what the file of each is called, without `.yaml`, and its service; two of one name have their types in it."""
    names = [each.name.replace(".", "-")[:_LONGEST].rstrip("-") for each in workloads]
    return tuple(
        name if names.count(name) == 1 else f"{each.resource.singular}-{name}"[:_LONGEST].rstrip("-")
        for name, each in zip(names, workloads, strict=True)
    )


def documents(found: FoundWorkload, service: str) -> str:
    """Write the documents of a workload, under the name of its service."""
    of_deployment = found.workload.resource == DEPLOYMENTS
    stuck = " && workload.status.unavailableReplicas == 0" if of_deployment else ""
    managed = (
        f"\n# {' and '.join(found.managers)} would take changes of its template back: those are refused."
        if found.managers
        else ""
    )
    checks = _NO_CHECK.format(place=found.namespace)
    if found.check:
        command = f"curl {'-k ' if found.check.startswith('https:') else ''}{shlex.quote(found.check)}"
        checks = _CHECK.format(command=json.dumps(command))
    written = _DOCUMENTS.format(
        workload=found.workload,
        place=found.namespace,
        managed=managed,
        service=_scalar(service),
        namespace=_scalar(found.namespace),
        selector=_scalar(found.selector),
        reference=_scalar(str(found.workload)),
        healthy=f"desired > 0 && ready >= desired{stuck}",
        pods=_scalar(f"{service}-pods-unhealthy"),
        few=_scalar(f"{service}-too-few-ready"),
        checks=checks,
    )
    if not found.check:
        return written
    return written + _RULE_ON_CHECK.format(service=_scalar(service), answers=_scalar(f"{service}-does-not-answer"))


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as one."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)
