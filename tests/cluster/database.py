"""The database of the stories: orders in a real PostgreSQL, backups of them in a real S3, who writes, and who depends."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kintsugi.catalog.library import shipped_paths
from tests.harness import manifests, stack_manifests
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.images import POSTGRES, REDIS
from tests.harness.network import NODE_ADDRESS
from tests.harness.postgres_programs import PostgresPrograms
from tests.harness.product_image import NAME
from tests.harness.s3 import KEY, REGION, SECRET, S3Server
from tests.harness.waiting import wait_for

POD, STANDBY = "database-0", "database-1"
PASSWORD = "postgres"
SHOP = (
    "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())",
    "INSERT INTO orders SELECT FROM generate_series(1, {orders})",
)
_EACH_TABLE = r"""
SELECT format('SELECT %L, md5(string_agg(t::text, %L ORDER BY t::text)) FROM %s AS t', oid::regclass, ',', oid::regclass)
FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY oid \gexec
"""


@dataclass(kw_only=True)
class Database:
    """
    What stands in one namespace, and where its backups lie; `standby`: a second pod streams from the first.

    `name` is its StatefulSet, `writer` the Deployment that writes to it, `backups` where in the bucket its backups are.
    """

    cluster: RealCluster
    namespace: str
    s3: S3Server
    standby: bool = False
    name: str = "database"
    writer: str = "api-deployment"
    backups: str = "database"

    @property
    def pod(self) -> str:
        """Name its first pod."""
        return f"{self.name}-0"

    def set_up(self) -> None:
        """Have the shop whole: the database with its orders, the API that writes to it, a cache, room for a restore."""
        self.cluster.load_images(POSTGRES, REDIS)
        self.cluster.apply(*self._manifests())
        for workload in ("statefulset/database", "statefulset/cache", "deployment/api-deployment"):
            self.cluster.kubectl("rollout", "status", workload, "-n", self.namespace, "--timeout=120s")
        self.fill()

    def allow_restores(self) -> None:
        """Have what a restore takes: the credentials for S3, and volumes that are free."""
        self.cluster.apply(*self._for_restores())

    def fill(self, orders: int = 1000) -> None:
        """Have so many orders in it."""
        self.ask("CREATE ROLE app LOGIN")
        self.ask("CREATE DATABASE app OWNER app")
        for statement in SHOP:
            self.ask(f"SET ROLE app;{statement.format(orders=orders)}", "app")

    @property
    def environment(self) -> dict[str, str]:
        """Return what the daemon must be told of restores here."""
        prefix = "KINTSUGI_RESTORE__"
        return {
            f"{prefix}IMAGE": NAME,
            f"{prefix}IMAGE_PULL_POLICY": "Never",
            f"{prefix}VOLUME_SIZE": "2Gi",
            f"{prefix}DRILL_EPHEMERAL_STORAGE": "1Gi",
            f"{prefix}S3__ENDPOINT": self.s3.endpoint,
            f"{prefix}S3__REGION": REGION,
            f"{prefix}S3__CREDENTIALS": "s3-credentials",
        }

    def ask(self, statement: str, database: str = "postgres", *, pod: str = "") -> str:
        """Do a statement, or a script of psql's, in a pod of the database and return what it says."""
        words = ("psql", "-XAtU", "postgres", "-v", "ON_ERROR_STOP=1", "-d", database)
        place = (pod or self.pod, "-n", self.namespace, "-c", "postgres")
        return self.cluster.kubectl("exec", "-i", *place, "--", *words, stdin=statement).strip()

    def orders(self) -> int:
        """Count the orders."""
        return int(self.ask("SELECT count(*) FROM orders", "app"))

    def live(self) -> Mapping[str, str]:
        """Sum up every table of every database, and tell the volume that they are on by its uid."""
        names = self.ask("SELECT datname FROM pg_database WHERE NOT datistemplate")
        volume = self.cluster.get("persistentvolume", self.volume())
        return {
            "volume": volume["metadata"]["uid"],
            **{name: self.ask(_EACH_TABLE, name) for name in names.splitlines()},
        }

    def back_up(self, name: str) -> None:
        """Dump the application's database, as people do, and put it with its checksum where the backups are."""
        address = self.cluster.get("pod", self.pod, self.namespace)["status"]["podIP"]
        words = [PostgresPrograms.find().program("pg_dump"), "-Fc", "-h", address, "-U", "postgres", "-d", "app"]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        dump = subprocess.run(words, env=environment, capture_output=True, check=True).stdout
        recorded = {"sha256": hashlib.sha256(dump).hexdigest()}
        self.s3.put(f"{self.backups}/{name}", dump, metadata=recorded)

    def tell_connections(self) -> Sequence[str]:
        """Have the server write down every connection to it from now on, and return those so far."""
        self.ask("ALTER SYSTEM SET log_connections = on")
        self.ask("SELECT pg_reload_conf()")
        return self.connections()

    def connections(self) -> Sequence[str]:
        """
        Return the connections that were written down, but for those of probes and of the service's own checks.

        One of ours is the last of them, and is left out: when it is written down, all before it are.
        """
        name = f"mark_{os.urandom(4).hex()}"
        self.ask("SELECT 1", f"dbname=app application_name={name}")

        def written() -> Sequence[str] | None:
            log = self.cluster.kubectl("logs", self.pod, "-n", self.namespace, "-c", "postgres")
            told = [line for line in log.splitlines() if "connection authorized" in line]
            return told if any(name in line for line in told) else None

        told = wait_for(written, within=60)
        others = [line for line in told if "database=postgres application_name=psql" not in line]
        return [line for line in others if "application_name=mark_" not in line]

    def claim(self, pod: str = POD) -> Object:
        """Return the claim of a pod's volume."""
        return self.cluster.get("pvc", f"data-{pod}" if self.standby else f"{self.name}-pvc", self.namespace)

    def volume(self) -> str:
        """Name the volume that it is on."""
        return str(self.claim()["spec"]["volumeName"])

    def folder(self, volume: str) -> Path:
        """Return where a volume lies on the node."""
        return Path(self.cluster.get("persistentvolume", volume)["spec"]["hostPath"]["path"])

    def lose_its_log(self) -> None:
        """Take the write-ahead log away from under the server, and the server too: it cannot start again."""
        for segment in (self.folder(self.volume()) / "pg" / "pg_wal").glob("0*"):
            segment.unlink()
        self.cluster.api.delete("pod", self.pod, self.namespace, grace=0)

    def replicas(self) -> int:
        """Return how many copies of who writes to it are asked for."""
        return int(self.cluster.get("deployment", self.writer, self.namespace)["spec"]["replicas"])

    def _manifests(self) -> Sequence[Object]:
        return (
            *(manifests.postgres_pair if self.standby else manifests.postgres)(self.namespace, password=PASSWORD),
            *manifests.tier(self.namespace, "api", replicas=2),
            *stack_manifests.cache(self.namespace),
            manifests.front(self.namespace, "database", {"app": "database"}, main=(5432, 5432)),
            *self._for_restores(),
        )

    def _for_restores(self) -> Sequence[Object]:
        return (
            manifests.secret(self.namespace, "s3-credentials", AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET),
            *(free_volume(self.namespace, f"spare-{number}", "1Gi") for number in range(1 + self.standby)),
            free_volume(self.namespace, "room", "2Gi"),
        )


def free_volume(namespace: str, name: str, size: str) -> Object:
    """Return a volume that any claim may take; whoever runs in a pod may write to it."""
    made, _ = manifests.volume(namespace, claim=name, size=size)
    del made["spec"]["claimRef"]
    folder = Path(made["spec"]["hostPath"]["path"])
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return made


def catalog(folder: Path, *, standbys: int) -> Path:
    """Copy the shipped files, and declare how many standbys the database has, as whoever has them does."""
    for shipped in shipped_paths():
        shutil.copytree(shipped, folder / shipped.name)
    rules = folder / "rules" / "database.yaml"
    text = rules.read_text()
    assert text.count("standbys: 0 ") == 1, "the shipped rules have changed"
    rules.write_text(text.replace("standbys: 0 ", f"standbys: {standbys} "))
    return folder


def server() -> S3Server:
    """Return an S3 server that pods reach, not started yet."""
    folder = Path(manifests.VOLUMES).parent / f"s3-{os.urandom(4).hex()}"
    folder.mkdir(parents=True)
    return S3Server(folder=folder, address=NODE_ADDRESS)
