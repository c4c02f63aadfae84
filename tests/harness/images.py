"""Container images made by hand: docker-archive files with one layer, which containerd imports as they are.

No registry is asked. `web` images are a static busybox serving /health; their script watches the folder /faults, where
a file named after the pod's uid breaks that pod and no other. The servers of the stack look there when they start.
"""

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.harness.parts import parts
from tests.harness.postgres_programs import PostgresPrograms, libraries

BUSYBOX = Path("/usr/bin/busybox")
PAUSE = "harness/pause:1"
WEB_GOOD, WEB_BETTER, WEB_BAD = "web:good", "web:better", "web:bad"
POSTGRES = "postgres:16"
REDIS, SKIPPER = "redis:7", "skipper:0.22"
SHOP_GOOD, SHOP_BETTER = "shop:good", "shop:better"
PARCEL_GOOD, PARCEL_BETTER, PARCEL_DEAF = "parcel:1", "parcel:2", "parcel:deaf"

# What runs first in a pod that can be broken: with its uid marked, it ends here.
_START = """\
#!/bin/sh
[ -e "/faults/$POD_UID.crash" ] && { echo "cannot start: the configuration is broken"; exit 1; }
"""
# Serves /health until its pod's uid is marked. A sleeping shell takes no signal, hence the short naps.
_WEB = (
    _START
    + """\
trap 'exit 0' TERM
mkdir -p /www
echo "$VERSION" > /www/version
echo ok > /www/health
httpd -p 8080 -h /www
echo "serving version $VERSION"
while :; do
  [ -e "/faults/$POD_UID.crash" ] && { echo "fatal: the configuration is broken"; exit 1; }
  [ -e "/faults/$POD_UID.unready" ] && rm -f /www/health
  sleep 0.2
done
"""
)
_WEB_BAD = """\
#!/bin/sh
echo "fatal: version $VERSION cannot read its database schema"
sleep 1
exit 1
"""
_PAUSE = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 86400 & wait $!; done\n"
# With $PRIMARY every pod but the first of a StatefulSet begins as a copy of the primary. `prepare` ends before the server.
_POSTGRES = (
    _START
    + """\
set -e
export PGDATA="${PGDATA:-/var/lib/postgresql/data}"
mkdir -p "$PGDATA" /run/postgresql
chown -R postgres "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ] && [ -n "$PRIMARY" ] && [ "${HOSTNAME##*-}" != 0 ]; then
  export PGPASSWORD="$POSTGRES_PASSWORD"
  psql -qh "$PRIMARY" -U postgres -c "SELECT pg_create_physical_replication_slot('standby')
    WHERE NOT EXISTS (TABLE pg_replication_slots)"
  su postgres -c "pg_basebackup -h $PRIMARY -U postgres -D $PGDATA -R -S standby -c fast"
elif [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "${POSTGRES_PASSWORD:-postgres}" > /run/password
  chown postgres /run/password
  su postgres -c "initdb -D $PGDATA -U postgres --auth-local=trust --auth-host=scram-sha-256 --pwfile=/run/password"
  for who in all replication; do echo "host $who all all scram-sha-256"; done >> "$PGDATA/pg_hba.conf"
fi
[ "$1" = prepare ] && exit 0
exec su postgres -c "exec postgres -D $PGDATA -c listen_addresses='*' -c unix_socket_directories=/run/postgresql,/tmp"
"""
)
_REDIS = f"{_START}exec redis-server --dir /data --protected-mode no --save '60 1' \"$@\"\n"
_SHELL = (
    "sh",
    "httpd",
    "sleep",
    "mkdir",
    "rm",
    "cat",
    "ls",
    "nc",
    "chown",
    "chmod",
    "su",
    "touch",
    "test",
    "kill",
    "ps",
    "df",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A name, what lies in the file system (path in it: content or a file of this machine), and what is run."""

    name: str
    command: Sequence[str]
    texts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def write(self, archive: Path) -> Path:
        """Write the image as a docker-archive."""
        layer = self.layer()
        manifest = [{"Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"]}]
        with tarfile.open(archive, "w") as tar:
            _add(tar, "config.json", self.config(layer))
            _add(tar, "layer.tar", layer)
            _add(tar, "manifest.json", json.dumps(manifest).encode())
        return archive

    def layer(self) -> bytes:
        """Return the one layer, a tar archive; the same for the same content."""
        return _layer(self)

    def config(self, layer: bytes) -> bytes:
        """Return the configuration that belongs to the layer, JSON."""
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(self.command),
                "Env": [f"{name}={value}" for name, value in self.environment.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
        return json.dumps(config).encode()


def image(name: str) -> Image:
    """Return the description of one of our images. Raises LookupError for a name that is not ours."""
    if name not in _IMAGES:
        raise LookupError(f"no image {name!r}; there are {', '.join(_IMAGES)}")
    return _IMAGES[name]()


def _shell(name: str, script: str, environment: Mapping[str, str]) -> Image:
    return Image(
        name=name,
        command=["/bin/sh", "/start"],
        texts={"start": script},
        files={"bin/busybox": BUSYBOX},
        links={f"bin/{applet}": "busybox" for applet in _SHELL},
        environment={"PATH": "/bin", **environment},
    )


def _web(name: str, script: str) -> Image:
    return _shell(name, script, {"VERSION": name.partition(":")[2]})


def _program(name: str, module: str, program: str) -> Image:
    """Return an image of one of our parts, which are linked to nothing, with what it is told as arguments."""
    shell = _shell(name, f'{_START}exec {program} "$@"\n', {"VERSION": name.partition(":")[2]})
    return replace(shell, files={**shell.files, f"bin/{program}": parts(module).binary(program)})


def _redis() -> Image:
    programs = [Path("/usr/bin", each) for each in ("redis-server", "redis-cli", "redis-check-rdb")]
    shell = _shell(REDIS, _REDIS, {})
    files = {**shell.files, **{f"bin/{each.name}": each for each in programs}, **libraries(programs)}
    return replace(shell, files=files, links={**shell.links, "bin/timeout": "busybox"})


def _postgres() -> Image:
    programs = PostgresPrograms.find(major=16)
    path = f"/bin:/pg/{programs.bin.relative_to(programs.site)}"
    shell = _shell(POSTGRES, _POSTGRES, {"PATH": path})
    return Image(
        name=POSTGRES,
        command=shell.command,
        texts={
            **shell.texts,
            "etc/passwd": "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n",
            "etc/group": "root:x:0:\npostgres:x:70:\n",
        },
        files={
            **shell.files,
            **{f"pg/{path}": file for path, file in programs.files().items()},
            **programs.libraries(),
        },
        links=shell.links,
        environment=shell.environment,
    )


_IMAGES: Mapping[str, Callable[[], Image]] = {
    PAUSE: lambda: _shell(PAUSE, _PAUSE, {}),
    WEB_GOOD: lambda: _web(WEB_GOOD, _WEB),
    WEB_BETTER: lambda: _web(WEB_BETTER, _WEB),
    WEB_BAD: lambda: _web(WEB_BAD, _WEB_BAD),
    POSTGRES: _postgres,
    REDIS: _redis,
    SKIPPER: lambda: _program(SKIPPER, "skipper", "skipper"),
    SHOP_GOOD: lambda: _program(SHOP_GOOD, "shop", "shop"),
    SHOP_BETTER: lambda: _program(SHOP_BETTER, "shop", "shop"),
    PARCEL_GOOD: lambda: _program(PARCEL_GOOD, "parcel", "parcel"),
    PARCEL_BETTER: lambda: _program(PARCEL_BETTER, "parcel", "parcel"),
    PARCEL_DEAF: lambda: _program(PARCEL_DEAF, "parcel", "parcel"),
}
# What every cluster has from its start; the others are large and come when they are asked for.
AT_START = (PAUSE, WEB_GOOD, WEB_BETTER, WEB_BAD)


def _layer(made: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("tmp", "proc", "sys", "dev", "etc", "run", "bin", "faults"):
            _add_folder(tar, folder)
        for path, text in made.texts.items():
            _add(tar, path, text.encode())
        for path, file in made.files.items():
            _add(tar, path, file.read_bytes(), mode=0o755)
        for path, target in made.links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _add_folder(tar: tarfile.TarFile, path: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
    tar.addfile(entry)


def main(arguments: Sequence[str]) -> int:
    """Write all images into a folder, for whoever lends a cluster: `kind load image-archive FOLDER/*.tar`."""
    if len(arguments) != 1:
        print("usage: python -m tests.harness.images FOLDER", file=sys.stderr)
        return 2
    for name in _IMAGES:
        print(image(name).write(Path(arguments[0]) / f"{name.replace('/', '-').replace(':', '-')}.tar"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
