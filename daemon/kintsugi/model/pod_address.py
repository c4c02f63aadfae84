"""The address of one pod, so that a check of its service can be sent to this pod alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kintsugi.model.hosts import service_of


@dataclass(frozen=True, kw_only=True, slots=True)
class PodAddress:
    """
    A pod with its address, "" where it has none yet.

    `ports` are the ports of the pod that its Services lead to, by the Service's name or cluster IP, and its port.
    """

    name: str
    namespace: str
    ip: str
    ports: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def port_behind(self, host: str, port: int) -> int | None:
        """Return the pod's port that a Service of its namespace leads to, None for any other host and for a port that it does not have."""
        found = service_of(host)
        name = found.service if found is not None and found.namespace == self.namespace else host
        return self.ports.get((name, port)) if self.ip else None
