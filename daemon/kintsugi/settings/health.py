"""The settings of the port for the kubelet and Prometheus."""

from datetime import timedelta

from pydantic.dataclasses import dataclass

from kintsugi.settings.fields import STRICT, Count, Port, Wait


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class HealthSettings:
    """The HTTP port for the kubelet and Prometheus: /healthz, /readyz and /metrics, without a token and without TLS."""

    host: str = "0.0.0.0"  # noqa: S104  the kubelet asks from its node
    """Address to listen on. All of them by default; what it answers names no host, no user and no object."""

    port: Port = 8081
    """TCP port; 0 takes any free one. 8081 is where controllers of Kubernetes answer their probes."""

    max_connections: Count = 64
    """Open connections, half of them for one address at most; for one more the one that has been idle longest is closed. A
    kubelet opens one at a time, a Prometheus keeps one."""

    standstill: Wait = timedelta(seconds=10)
    """How long the event loop may stand still before /healthz is answered 503, by the steady clock. With the probe's own
    three failures the pod is restarted half a minute later; the longest work that is done on the loop takes less than one."""
