"""A catalog of one service, whose one rule starts one runbook when the alert `Asked` fires: only its steps differ from test to test."""

from kintsugi_demo.shop import NAMESPACE, WEB

NEVER_HEALTHY, WHEN_READY = "desired > 100", "desired > 0 && ready >= desired"


def asked_catalog(steps: str, *, healthy: str = NEVER_HEALTHY, rollback: str) -> str:
    """Return the catalog's file; `steps` are indented by four, as under `spec`."""
    return f"""
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: web-service}}
spec:
  priority: 4
  dependsOn: []
  namespace: {NAMESPACE}
  selector: app=web-app
  workload: deployment/{WEB}
  healthy: {healthy}
  runbook: mend
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: asked}}
spec: {{on: alert, matchers: ['alertname="Asked"'], service: web-service, mode: auto, cooldown: 10m}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: mend}}
spec:
  title: Mend
  service: web-service
  steps:
{steps.strip(chr(10))}
  rollback: {{{rollback}}}
"""
