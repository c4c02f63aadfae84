"""How to reach the Kubernetes API, and how long to wait for it."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, kw_only=True, slots=True)
class KubeSettings:
    """
    Where the API is and how patient a request is. Without a kubeconfig the pod's service account is used.

    `request_timeout` bounds a whole call with its retries; `connect_timeout` and `read_timeout` (silence on an open
    connection) bound one attempt.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    service_account: Path = SERVICE_ACCOUNT
    request_timeout: timedelta = timedelta(seconds=30)
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=15)
