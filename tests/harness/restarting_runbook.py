"""A runbook that restarts whatever is wrong, as people write them: what keeps a restart from doing harm is shown with it."""

from pathlib import Path

TEXT = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: restart-everything}
spec:
  title: Restart everything
  steps:
    - id: restart
      name: Restart unhealthy pods
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
      expect: service.ready >= service.desired
      within: 5m
      onFailure: continue

    - id: rollout
      name: Restart the workload if that was not enough
      when: >-
        service.ready < service.desired &&
        !service.pods.exists(p, p.unschedulable || p.imageFailing)
      run: kubectl rollout restart ${service.workload}

    - id: status
      name: Wait for it
      when: steps.rollout.ran
      run: kubectl rollout status ${service.workload} --timeout=5m
      expect: complete
      within: 5m
      onFailure: continue

    - id: healthy
      name: The service is healthy
      expect: service.healthy
      within: 5m
      for: 30s
  rollback:
    after: 30m
"""


def write_restarting_runbook(folder: Path) -> None:
    """Write it into a folder of a catalog."""
    (folder / "restart-everything.yaml").write_text(TEXT)
