"""Services of one Deployment each, as documents and in the cluster, for stories about what depends on what."""

from collections.abc import Sequence
from pathlib import Path

from tests.harness import manifests
from tests.harness.cluster import RealCluster

_SERVICE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  priority: {priority}
  dependsOn: [{depends_on}]
  onUpstreamFailure: {on_upstream_failure}
  namespace: production
  selector: app={app}
  workload: deployment/{app}-deployment
  healthy: desired > 0 && ready >= desired
  runbook: {runbook}
"""


def service(
    name: str,
    *,
    runbook: str,
    priority: int = 1,
    depends_on: str = "",
    on_upstream_failure: str = "wait",
    app: str = "",
) -> str:
    """Write a service; `app` is its Deployment's, where that is not its name."""
    return _SERVICE.format(
        name=name,
        app=app or name,
        priority=priority,
        depends_on=depends_on,
        on_upstream_failure=on_upstream_failure,
        runbook=runbook,
    )


def write(folder: Path, *documents: str) -> Path:
    """Write a catalog of these documents, and return its folder."""
    folder.mkdir()
    (folder / "catalog.yaml").write_text("---\n".join(documents))
    return folder


def deploy(cluster: RealCluster, namespace: str, apps: Sequence[str]) -> None:
    """Have a Deployment of one pod for each of these, ready."""
    for app in apps:
        cluster.apply(*manifests.tier(namespace, app))
    for app in apps:
        cluster.kubectl("rollout", "status", f"deployment/{app}-deployment", "-n", namespace, "--timeout=60s")
