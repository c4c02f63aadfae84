"""The dependencies of the verbs: clients and settings."""

from dataclasses import dataclass, field

from kintsugi.actions.container_exec import ContainerExec
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.clients.clients import Clients
from kintsugi.kube.client import KubeClient
from kintsugi.settings import RestoreSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class VerbClients:
    """The clients for the cluster and for probes, the settings of workers, the good templates; `encrypts`: an undo may hold a secret."""

    kube: KubeClient
    clients: Clients
    containers: ContainerExec
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    encrypts: bool = False
    templates: GoodTemplates = field(default_factory=GoodTemplates)
