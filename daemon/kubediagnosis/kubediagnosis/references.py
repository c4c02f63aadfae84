"""The references of a pod to ConfigMaps, Secrets and their keys, with the field of the template."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kubediagnosis.facts import ConfigurationFacts, ConfigurationType
from kubeobjects.specified import SpecifiedContainer, SpecifiedPod, VolumeItem

_CONFIG_MAP, _SECRET = ConfigurationType.CONFIG_MAP, ConfigurationType.SECRET


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigurationReference:
    """A place of the template that names a ConfigMap or Secret; `key` is "" where it names all of it."""

    type: ConfigurationType
    name: str
    key: str = ""
    field: str


def references(spec: SpecifiedPod) -> tuple[ConfigurationReference, ...]:
    """Return everything that a pod names: in environments, as volumes, and to pull images with."""
    return (
        *(each for container in spec.init_containers for each in _environment("initContainers", container)),
        *(each for container in spec.containers for each in _environment("containers", container)),
        *_volumes(spec),
        *(
            ConfigurationReference(type=_SECRET, name=each.name, field=f"imagePullSecrets[{each.name}]")
            for each in spec.image_pull_secrets
        ),
    )


def read_at_start(spec: SpecifiedPod, configuration: ConfigurationFacts) -> tuple[ConfigurationReference, ...]:
    """
    Return where a container has a ConfigMap or Secret as it was at its start: as variables, and as files of a sub path.

    A container that mounts by a sub path gets no updates (kubernetes.io, ConfigMaps, Mounted ConfigMaps are updated automatically).
    """
    named = tuple(_to(spec, configuration))
    return (
        *(each for each in named if ".env[" in each.field or ".envFrom[" in each.field),
        *(
            replace(each, field=f"{part}[{container.name}].volumeMounts[{mount.name}]")
            for part, containers in (("initContainers", spec.init_containers), ("containers", spec.containers))
            for container in containers
            for mount in container.volume_mounts
            for each in named
            if mount.sub_path and each.field.startswith(f"volumes[{mount.name}].")
        ),
    )


def reads(spec: SpecifiedPod, configuration: ConfigurationFacts) -> bool:
    """Return whether the containers of a pod have a ConfigMap or Secret; what its images are pulled with they never see."""
    return any(not each.field.startswith("imagePullSecrets") for each in _to(spec, configuration))


def names(spec: SpecifiedPod, configuration: ConfigurationFacts) -> bool:
    """Return whether a pod names a ConfigMap or Secret anywhere."""
    return any(_to(spec, configuration))


def _to(spec: SpecifiedPod, named: ConfigurationFacts) -> Iterator[ConfigurationReference]:
    return (each for each in references(spec) if (each.type, each.name) == (named.type, named.name))


def _environment(part: str, container: SpecifiedContainer) -> Iterator[ConfigurationReference]:
    member = f"{part}[{container.name}]"
    for variable in container.env:
        source = variable.value_from
        if source is None:
            continue
        for kind, named in ((_CONFIG_MAP, source.config_map_key_ref), (_SECRET, source.secret_key_ref)):
            if named is not None:
                yield ConfigurationReference(
                    type=kind, name=named.name, key=named.key, field=f"{member}.env[{variable.name}]"
                )
    for whole in container.env_from:
        for kind, all_of_it in ((_CONFIG_MAP, whole.config_map_ref), (_SECRET, whole.secret_ref)):
            if all_of_it is not None:
                yield ConfigurationReference(
                    type=kind, name=all_of_it.name, field=f"{member}.envFrom[{all_of_it.name}]"
                )


def _volumes(spec: SpecifiedPod) -> Iterator[ConfigurationReference]:
    for volume in spec.volumes:
        field = f"volumes[{volume.name}]"
        if (mounted := volume.config_map) is not None:
            for key in _keys(mounted.items):
                yield ConfigurationReference(type=_CONFIG_MAP, name=mounted.name, key=key, field=f"{field}.configMap")
        if (secret := volume.secret) is not None:
            for key in _keys(secret.items):
                yield ConfigurationReference(type=_SECRET, name=secret.secret_name, key=key, field=f"{field}.secret")
        for source in volume.projected.sources if volume.projected is not None else ():
            for kind, part in ((_CONFIG_MAP, source.config_map), (_SECRET, source.secret)):
                if part is not None:
                    for key in _keys(part.items):
                        yield ConfigurationReference(type=kind, name=part.name, key=key, field=f"{field}.projected")


def _keys(items: Sequence[VolumeItem]) -> Sequence[str]:
    """Return the keys that a volume names, or "" for all of them."""
    return [each.key for each in items] or [""]
