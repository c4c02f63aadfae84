"""A second database for the shipped runbooks, in a namespace of its own: all that can differ from the first one's differs."""

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
    database: billing
    backups: s3://finance-backups/billing/
    host: ledger.finance
    writers: [deployment/invoices]
  env:
    PGPASSWORD: {secret: database-credentials, key: password}
    PGPASSWORD_BILLING: {secret: database-credentials, key: app-password}
  checks:
    integrity:
      - id: invoices
        run: kubectl exec -it statefulset/ledger-postgres -- psql -U billing -d billing -c 'SELECT count(*) FROM public.invoices'
        expect: value > 0
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: billing-claim-lost}
spec: {on: pvc, service: billing, when: object.status.phase == "Lost", for: 30s, mode: auto, cooldown: 30m}
"""
