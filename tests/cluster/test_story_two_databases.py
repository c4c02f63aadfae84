"""
Two databases in one cluster, on a real Kubernetes, by the same shipped runbooks: each is recovered, and each is restored.

Each is in a namespace of its own, with its own writers and its own backups; nothing that is done for one touches the other.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster import database
from tests.cluster.conftest import HASTY, StartDaemon, clear
from tests.cluster.database import PASSWORD, Database, free_volume, secret
from tests.cluster.story import ClusterStory
from tests.harness import manifests
from tests.harness.api import Object
from tests.harness.billing import BILLING, FINANCE, FRONT, INVOICES, LABELS, LEDGER, SERVICE
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import POSTGRES
from tests.harness.s3 import KEY, SECRET, S3Server
from tests.harness.waiting import wait_for

PACE = 0.1
"""What every duration of the shipped files is multiplied by: Jobs and new pods take their real time."""

VERIFIED = {"KINTSUGI_WATCHDOG__VERIFY": "1m"}
"""How long, scaled, a database is watched before it counts as recovered: it is so four times here."""

ORDERS = {"database": 1000, SERVICE: 400}

Shops = dict[str, Database]


@pytest.fixture
def shops(own_cluster: RealCluster, names: None, product_image: str, production: str) -> Iterator[Shops]:
    """Return both databases by the names of their services, well, each with one good backup of its own."""
    s3 = database.server()
    s3.start()
    s3.empty()
    first = Database(cluster=own_cluster, namespace=production, s3=s3)
    try:
        own_cluster.load_images(POSTGRES)
        own_cluster.apply(*second_shop())
        first.set_up()
        shops = {"database": first, SERVICE: second(own_cluster, s3)}
        for name, shop in shops.items():
            shop.back_up(f"{name}.dump")
            # The log of a first start tells of an empty data folder, over which nothing is restarted.
            own_cluster.kubectl("delete", "pod", shop.pod, "-n", shop.namespace)
        for shop in shops.values():
            own_cluster.kubectl("rollout", "status", f"statefulset/{shop.name}", "-n", shop.namespace)
        yield shops
    finally:
        s3.stop()
        clear(own_cluster, FINANCE)


def test_each_of_two_databases_is_recovered_and_then_restored_from_its_own_backup_and_neither_touches_the_other(
    shops: Shops, faults: Faults, daemon: StartDaemon, tmp_path: Path
) -> None:
    """P2, P6: at the same time, too; a yes to one is none to the other."""
    first = shops["database"]
    catalog = with_billing(tmp_path / "catalog")
    started = daemon(deadlines=HASTY, durations=PACE, catalog=catalog, environment={**first.environment, **VERIFIED})
    story = ClusterStory(first.cluster, first.namespace, started, app="database")
    wait_for(lambda: all(story.service(name).get("healthy") for name in shops), within=60, describe=story.state)
    story.begin()
    victims = {name: shop.cluster.get("pod", shop.pod, shop.namespace) for name, shop in shops.items()}

    story.at("both hang", lambda: all_hang(faults, *victims.values()))

    for name in shops:
        incident = story.within(180).ends("recovered", service=name)
        [restart] = [step["text"] for step in story.steps(incident) if step["changes"]]
        assert f"delete pod {shops[name].pod}" in restart, restart
    assert sorted(story.deleted_by_daemon()) == sorted(pod["metadata"]["uid"] for pod in victims.values())
    assert len(story.writes()) == len(shops), story.writes()

    before = {name: shop.volume() for name, shop in shops.items()}
    story.at("both volumes are lost", lambda: lose_volumes(faults, *shops.values()))

    asking = {name: story.within(180).reaches("awaiting-approval", service=name) for name in shops}
    story.at("a person agrees about the second", lambda: story.approve(asking[SERVICE]))
    story.within(60).sees("nobody writes to it", lambda: shops[SERVICE].replicas() == 0)
    assert (first.replicas(), first.volume()) == (2, before["database"])
    story.at("and about the first", lambda: story.approve(asking["database"]))

    for name, shop in shops.items():
        restored = story.within(240).ends("recovered", service=name)
        assert restored["id"] == asking[name]["id"]
        assert f"public.orders {ORDERS[name]} rows" in restored["reason"], restored
        assert (shop.orders(), shop.replicas()) == (ORDERS[name], 2)
        assert shop.volume() != before[name]
        assert changed(story, shop) == changes(shop)
    volumes = [each.name for each in story.written_by_daemon("persistentvolumes")]
    assert sorted(volumes) == sorted(shop.volume() for shop in shops.values()), "the new ones are kept"


def all_hang(faults: Faults, *pods: Object) -> None:
    """Let every process of these pods' servers hang."""
    for pod in pods:
        faults.hang(pod, "postgres")


def lose_volumes(faults: Faults, *shops: Database) -> None:
    """Take the volumes of databases away, and their pods, which cannot start again."""
    for shop in shops:
        faults.lose_volume(shop.claim())
        shop.cluster.api.delete("pod", shop.pod, shop.namespace, grace=0)


def changed(story: ClusterStory, shop: Database) -> Sequence[str]:
    """Return what the daemon has changed in the namespace of a database since its pod was restarted, but its own Jobs' room."""
    made = [each for each in story.writes() if each.namespace == shop.namespace and each.resource != "pods"]
    return [f"{each.verb} {each.resource}/{each.name}" for each in made if not each.name.startswith("kintsugi-")]


def changes(shop: Database) -> Sequence[str]:
    """Return what a restore changes of its own database, in this order."""
    claim = f"persistentvolumeclaims/{shop.name}-pvc"
    writer, server = f"patch deployments/{shop.writer}", f"patch statefulsets/{shop.name}"
    return [writer, server, f"delete {claim}", f"create {claim}", server, writer]


def second(cluster: RealCluster, s3: S3Server) -> Database:
    """Wait until the second database runs, and return it with its orders."""
    made = Database(cluster=cluster, namespace=FINANCE, s3=s3, name=LEDGER, writer=INVOICES, backups=SERVICE)
    for workload in (f"statefulset/{LEDGER}", f"deployment/{INVOICES}"):
        cluster.kubectl("rollout", "status", workload, "-n", FINANCE, "--timeout=120s")
    made.fill(ORDERS[SERVICE])
    return made


def second_shop() -> Sequence[Object]:
    """Return the second database with who writes to it, its Secrets, and room for its restore."""
    credentials, volume, claim, front, server = manifests.postgres(FINANCE, app=LEDGER, password=PASSWORD)
    front["metadata"]["name"], front["spec"]["selector"] = FRONT, LABELS
    server["spec"]["selector"]["matchLabels"] = server["spec"]["template"]["metadata"]["labels"] = LABELS
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FINANCE}},
        *(credentials, volume, claim, front, server),
        manifests.tier(FINANCE, INVOICES.removesuffix("-deployment"), replicas=2)[0],
        secret(FINANCE, "database-credentials", **{"password": PASSWORD, "app-password": PASSWORD}),
        secret(FINANCE, "s3-credentials", AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET),
        free_volume(FINANCE, "spare", "1Gi"),
        free_volume(FINANCE, "room", "2Gi"),
    )


def with_billing(folder: Path) -> Path:
    """Copy the shipped files with the second database, and without the run about all services, which knows the page's alone."""
    made = database.catalog(folder, standbys=0)
    (made / "rules" / "stack.yaml").unlink()
    (made / "rules" / "billing.yaml").write_text(BILLING)
    return made
