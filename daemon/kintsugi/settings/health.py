"""The settings of the port for the kubelet and Prometheus."""

from datetime import timedelta

from pydantic.dataclasses import dataclass

from kintsugi.settings.fields import STRICT, Count, Port, Wait


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class HealthSettings:
    """The HTTP port for the kubelet and Prometheus: /healthz, /readyz and /metrics, without a token and without TLS."""

    host: str = "0.0.0.0"  # noqa: S104  the kubelet asks from its node
    """Address to listen on. Default: all addresses; the answers name no host, no user and no object."""

    port: Port = 8081
    """TCP port; 0 selects any free port. Default: 8081, the usual probe port of Kubernetes controllers."""

    max_connections: Count = 64
    """Open connections; one address may use at most half of them. For one more, the connection with the longest idle time is
    closed. A kubelet opens one at a time, a Prometheus keeps one."""

    standstill: Wait = timedelta(seconds=10)
    """How long the event loop may be blocked before /healthz answers 503, by the steady clock. With the probe's three
    failures, the pod is restarted half a minute later. The longest work on the loop takes less than one second."""
