"""Catalogs of any size, written as the shipped rules are: what the daemon under load is given with `--catalog`."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.revision import Revision

_RUNBOOKS = ("workload-recovery", "start-service")
_SERVICES_A_FILE = 50
SHIPPED, PLAIN = "workload-recovery", "plain-restart"
_PLAIN = f"""\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: {PLAIN}}}
spec:
  title: Restart unhealthy pods
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${{each}}
    - {{id: healthy, expect: service.healthy, within: 5m}}
  rollback: {{after: 30m}}
"""
"""It changes with no version of what is shipped, so that figures of two versions can be compared."""

_SERVICE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  priority: 4
  dependsOn: []
  namespace: {namespace}
  selector: app={name}
  workload: deployment/{name}
  healthy: desired > 0 && ready >= desired && workload.status.unavailableReplicas == 0
  runbook: {runbook}
"""

_RULE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}-{number}}}
spec:
  service: {name}
  mode: {mode}
  cooldown: 10m
  {condition}
"""

_ALERT = 'on: alert\n  matchers: [alertname=~"KubePodCrashLooping|KubePodNotReady", deployment={name}]'
_CONDITIONS = (
    "on: pod\n  when: object.unhealthy\n  for: 2m",
    "on: services\n  when: service.ready < service.desired\n  for: 5m",
    'on: pvc\n  when: object.status.phase != "Bound"\n  for: 5m',
    _ALERT,
)
"""One rule of each kind that the shipped services have."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A service of a generated catalog: its name is that of its Deployment and of the label `app` of its pods."""

    name: str
    namespace: str


def services(count: int, *, prefix: str = "app", namespaces: int = 10) -> tuple[Written, ...]:
    """Name so many services, spread over some namespaces."""
    return tuple(Written(name=f"{prefix}-{each}", namespace=f"team-{each % namespaces}") for each in range(count))


def pod_rules(service: Written, count: int) -> str:
    """Write a service with so many rules on its pods."""
    return _document(service, [_CONDITIONS[0]] * count)


def usual_rules(service: Written) -> str:
    """Write a service with a rule of each kind: on its pods, itself, its claims, its alerts."""
    return _document(service, _CONDITIONS)


def mixed_rules(service: Written, count: int) -> str:
    """Write a service with so many rules, half of them on its pods, half on alerts."""
    return _document(service, [_CONDITIONS[0], _ALERT] * (count // 2))


def alert_rule(service: Written, *, runbook: str) -> str:
    """Write a service with a rule on alerts that name its Deployment, which acts by a runbook."""
    return _document(service, [_ALERT], mode="auto", runbook=runbook)


def write(folder: Path, documents: Sequence[str], revision: Revision) -> Path:
    """Write a catalog into a folder that is made for it, with the runbooks that a revision ships, and in its words."""
    folder.mkdir()
    for name in _RUNBOOKS:
        shutil.copy(revision.folder / "runbooks" / f"{name}.yaml", folder)
    files = {PLAIN: _PLAIN}
    for first in range(0, len(documents), _SERVICES_A_FILE):
        files[f"services-{first}"] = "---\n".join(documents[first : first + _SERVICES_A_FILE])
    calls = "unhealthy(object)" in (revision.folder / "rules" / "any-service.yaml").read_text(encoding="utf-8")
    for name, text in files.items():
        known = re.sub(r"(\w+)\.unhealthy", r"unhealthy(\1)", text) if calls else text
        (folder / f"{name}.yaml").write_text(known, encoding="utf-8")
    return folder


def _document(service: Written, conditions: Sequence[str], *, mode: str = "observe", runbook: str = SHIPPED) -> str:
    rules = [
        _RULE.format(name=service.name, number=number, mode=mode, condition=condition.format(name=service.name))
        for number, condition in enumerate(conditions)
    ]
    return "---\n".join([_SERVICE.format(name=service.name, namespace=service.namespace, runbook=runbook), *rules])
