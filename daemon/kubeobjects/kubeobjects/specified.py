"""
The fields of pods that no cache keeps and a diagnosis reads: where an environment and volumes come from.

Each struct extends the kept one, so that what is known of a kept pod is known of these.
"""

from kubeobjects.metadata import Metadata, PartialObject
from kubeobjects.pods import Container, PodSpec, Volume


class Name(PartialObject, frozen=True):
    """The name of another object, or of a volume."""

    name: str = ""


class KeyReference(Name, frozen=True):
    """One key of a ConfigMap or Secret, in an environment."""

    key: str = ""


class ValueSource(PartialObject, frozen=True):
    """The source of a variable's value: a key of a ConfigMap or Secret."""

    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None


class Variable(PartialObject, frozen=True):
    """A variable of a container's environment; its value is not kept."""

    name: str = ""
    value_from: ValueSource | None = None


class EnvironmentSource(PartialObject, frozen=True):
    """All keys of a ConfigMap or Secret as variables."""

    config_map_ref: Name | None = None
    secret_ref: Name | None = None


class VolumeMount(Name, frozen=True):
    """A volume in a container; with a sub path the kubelet never brings what changes in the volume."""

    sub_path: str = ""


class SpecifiedContainer(Container, frozen=True):
    """A container with where its environment comes from."""

    env: tuple[Variable, ...] = ()
    env_from: tuple[EnvironmentSource, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()


class VolumeItem(PartialObject, frozen=True):
    """A key of a ConfigMap or Secret that a volume shows as a file."""

    key: str = ""


class ConfigurationVolume(Name, frozen=True):
    """A ConfigMap that is a volume, or a ConfigMap or Secret that is a part of a projected one."""

    items: tuple[VolumeItem, ...] = ()


class SecretVolume(PartialObject, frozen=True):
    """A volume that is a Secret."""

    secret_name: str = ""
    items: tuple[VolumeItem, ...] = ()


class ProjectedSource(PartialObject, frozen=True):
    """One source of a projected volume; a token or the downward API has neither."""

    config_map: ConfigurationVolume | None = None
    secret: ConfigurationVolume | None = None


class ProjectedVolume(PartialObject, frozen=True):
    """A volume of several sources."""

    sources: tuple[ProjectedSource, ...] = ()


class SpecifiedVolume(Volume, frozen=True):
    """A volume with the ConfigMaps and Secrets that it shows."""

    config_map: ConfigurationVolume | None = None
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None


class Toleration(PartialObject, frozen=True):
    """A taint that a pod bears; without a key, each."""

    key: str = ""


class SpecifiedPod(PodSpec, frozen=True):
    """A pod as it was asked for, with what a diagnosis needs beyond the kept fields."""

    containers: tuple[SpecifiedContainer, ...] = ()
    init_containers: tuple[SpecifiedContainer, ...] = ()
    volumes: tuple[SpecifiedVolume, ...] = ()
    image_pull_secrets: tuple[Name, ...] = ()
    dns_policy: str = ""
    tolerations: tuple[Toleration, ...] = ()


class PodMetadata(Metadata, frozen=True):
    """The metadata of a pod, with the seconds that it got to end: its `deletionTimestamp` is when they are over."""

    deletion_grace_period_seconds: int = 0
