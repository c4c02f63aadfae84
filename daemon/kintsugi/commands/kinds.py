"""The kinds of objects that the commands of the grammar accept."""

from kubeobjects import resources as of

READABLE = tuple(each for each in of.RESOURCES if each not in (of.SECRETS, of.POD_METRICS, of.NODE_METRICS))
ROLLED_OUT = of.WORKLOADS
WITH_PODS = (of.PODS, *ROLLED_OUT, of.REPLICASETS, of.JOBS)
MARKABLE = (
    *WITH_PODS,
    *(of.CRONJOBS, of.SERVICES, of.INGRESSES, of.PVCS, of.PVS, of.NODES, of.HPAS, of.PDBS, of.STORAGECLASSES),
    *(of.NAMESPACES, of.CONFIGMAPS),
)
PATCHABLE = MARKABLE[:-2]

SECRETS_STAY = "a Secret's content must not reach the ledger"
"""The reason for which Secrets are not readable."""
