"""
The mounts of a container, and the disk below them: a folder of this machine for each mount path, volume and pod.

No path in a manifest leads out of the cluster's own folder.
"""

import base64
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, dig, name_of, namespace_of, uid_of
from kubesim.storage.store import Store


class Folders:
    """Keep the folders; the first one that is asked for makes their root, `close` removes it with all in it."""

    def __init__(self) -> None:
        self._root: Path | None = None

    def volume(self, volume: Json) -> Path:
        """Return the folder of a PersistentVolume; volumes of one hostPath share it, as they do on a node."""
        return self.host(str(dig(volume, "spec", "hostPath", "path", default=f"/{name_of(volume)}")))

    def host(self, path: str) -> Path:
        """Return the folder that replaces a path of the node."""
        return _made(self.root / "volumes" / quote(path.strip("/") or "root", safe=""))

    def pod(self, uid: str) -> Path:
        """Return the folder of a pod. Its name is short: below it lie sockets, whose paths may have 107 bytes."""
        return _made(self.root / uid[:8])

    def empty(self, uid: str, volume: str) -> Path:
        """Return the folder of an emptyDir of a pod."""
        return _made(self.pod(uid) / ".volumes" / volume)

    def remove_volume(self, volume: Json) -> None:
        """Remove what is on a volume."""
        if self._root is not None:
            shutil.rmtree(self.volume(volume), ignore_errors=True)

    def remove_pod(self, uid: str) -> None:
        """Remove what a pod kept outside its volumes."""
        if self._root is not None:
            shutil.rmtree(self.pod(uid), ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)

    @property
    def root(self) -> Path:
        """Return the folder above all others; other users may pass through it, for programs that refuse to be root."""
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="kubesim-"))
            self._root.chmod(0o711)
        return self._root


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class MountFailed(LookupError):
    """A volume cannot be mounted; the message is that of the kubelet's event."""


class Mounts:
    """Find and make the folders behind mount paths."""

    def __init__(self, store: Store, folders: Folders) -> None:
        self._store = store
        self._folders = folders

    def of(self, pod: Json, container: Json) -> Mapping[str, Path]:
        """Return the folder of every mount path of a container; raise MountFailed."""
        volumes = {each["name"]: each for each in dig(pod, "spec", "volumes", default=())}
        found = {}
        for mount in container.get("volumeMounts") or ():
            if mount["name"] not in volumes:
                raise MountFailed(f'volume "{mount["name"]}" is not among the volumes of the pod')
            folder = self._folder(pod, volumes[mount["name"]]) / mount.get("subPath", "")
            folder.mkdir(parents=True, exist_ok=True)
            found[mount["mountPath"]] = folder
        return found

    def check(self, pod: Json) -> None:
        """Raise MountFailed when a claim of a pod has no volume to be mounted."""
        for volume in dig(pod, "spec", "volumes", default=()):
            if "persistentVolumeClaim" in volume:
                self._claimed(pod, volume["persistentVolumeClaim"]["claimName"])

    def _folder(self, pod: Json, volume: Json) -> Path:
        if "persistentVolumeClaim" in volume:
            return self._folders.volume(self._claimed(pod, volume["persistentVolumeClaim"]["claimName"]))
        if "hostPath" in volume:
            return self._folders.host(volume["hostPath"]["path"])
        folder = self._folders.empty(uid_of(pod), volume["name"])
        if "secret" in volume:
            self._write(folder, self._files(resources.SECRETS, pod, volume["secret"]["secretName"], volume["secret"]))
        elif "configMap" in volume:
            source = volume["configMap"]
            self._write(folder, self._files(resources.CONFIGMAPS, pod, source["name"], source))
        return folder

    def _claimed(self, pod: Json, name: str) -> Json:
        claim = self._store.get(resources.PVCS, namespace_of(pod), name)
        if claim is None:
            raise MountFailed(f'persistentvolumeclaim "{name}" not found')
        volume = self._store.get(resources.PVS, None, str(dig(claim, "spec", "volumeName", default="")))
        if volume is None or dig(volume, "spec", "claimRef", "uid") != uid_of(claim):
            raise MountFailed(
                f"MountVolume.SetUp failed: claim {namespace_of(pod)}/{name} is not bound to a volume that exists"
            )
        return volume

    def _files(self, resource: Resource, pod: Json, name: str, source: Json) -> Mapping[str, bytes]:
        found = self._store.get(resource, namespace_of(pod), name)
        if found is None:
            if source.get("optional"):
                return {}
            raise MountFailed(
                f'MountVolume.SetUp failed for volume "{name}": {resource.kind.lower()} "{name}" not found'
            )
        files = contents(found)
        items: Iterable[Json] = source.get("items") or [{"key": key, "path": key} for key in files]
        return {item["path"]: files[item["key"]] for item in items if item["key"] in files}

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        shutil.rmtree(folder)
        for path, content in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        folder.mkdir(exist_ok=True)


def contents(obj: Json) -> dict[str, bytes]:
    """Read the values of a Secret or ConfigMap."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    if obj["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    plain = {key: value.encode() for key, value in data.items()}
    return {**plain, **{key: base64.b64decode(value) for key, value in binary.items()}}


def removed_with(volume: Json) -> bool:
    """Return whether what is on a volume goes when the volume is deleted."""
    return bool(name_of(volume)) and dig(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete"
