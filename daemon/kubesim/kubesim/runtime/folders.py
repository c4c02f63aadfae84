"""
The disk of the embedded cluster: a folder of this machine for each volume and for each pod.

No path in a manifest leads out of the cluster's own folder.
"""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from kubesim.manifest import Json, dig, name_of


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
