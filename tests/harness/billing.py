"""A second database for the shipped runbooks, in a namespace of its own: its document, and what its objects are called there."""

FINANCE, LEDGER, INVOICES, FRONT = "finance", "ledger-postgres", "invoices-deployment", "ledger"
LABELS = {"app": "ledger", "tier": "data"}
SERVICE = "billing"
BILLING = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: billing}
spec:
  priority: 1
  namespace: finance
  selector: app=ledger,tier=data
  workload: statefulset/ledger-postgres
  healthy: desired > 0 && ready >= desired && claims.all(c, c.status.phase == "Bound")
  runbook: database-recovery
  rules: {not-healthy: {enabled: false}, does-not-answer: {enabled: false}}
  parameters:
    database: app
    backups: s3://backup-bucket/billing/
    host: ledger.finance
    writers: [deployment/invoices-deployment]
  env:
    PGPASSWORD: {secret: database-credentials, key: password}
    PGPASSWORD_APP: {secret: database-credentials, key: app-password}
  checks:
    integrity:
      - id: orders
        run: kubectl exec -it statefulset/ledger-postgres -- psql -U app -d app -c 'SELECT count(*) FROM public.orders'
        expect: value > 0
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: billing-pods-unhealthy}
spec: {on: pod, service: billing, when: object.unhealthy, for: 1m, mode: auto, cooldown: 30m}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: billing-claim-lost}
spec: {on: pvc, service: billing, when: object.status.phase == "Lost", for: 30s, mode: auto, cooldown: 30m}
"""
