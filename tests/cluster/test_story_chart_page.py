"""docs/install.md from its first command to its last, on a real Kubernetes with a real Alertmanager, PostgreSQL and ingress controller."""

import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.cluster.conftest import clear, remove
from tests.cluster.database import PASSWORD, free_volume
from tests.cluster.install_page import PAGE, InstallPage
from tests.cluster.installed_daemon import asked_in
from tests.harness import alertmanager as alertmanagers
from tests.harness import manifests, parts, stack_manifests
from tests.harness.alertmanager import PROGRAM
from tests.harness.certificates import Authority
from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.coredns import CoreDns
from tests.harness.helm import NAME, Helm
from tests.harness.images import POSTGRES, SKIPPER
from tests.harness.processes import Program
from tests.harness.stack_manifests import INGRESS
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.cluster

HOST = "kintsugi.example.com"
MONITORING = "monitoring"
DEFINITION = "monitoring.coreos.com_alertmanagerconfigs.yaml"
TRUSTED = "tls_config: {ca_file: ca.crt}"
NGINX, OURS = "nginx.ingress.kubernetes.io/backend-protocol: HTTPS", "zalando.org/skipper-backend-protocol: https"


@pytest.fixture
def page(own_cluster: RealCluster, web: str, product_image: str, tmp_path: Path) -> Iterator[InstallPage]:
    """Return the page, not begun yet; names are answered here as in pods, and what it leaves behind goes with the test."""
    reasons = [parts.obstacle(each) for each in ("helm", "coredns", "skipper", "prometheus-operator")]
    for reason in (*reasons, alertmanagers.obstacle()):
        if reason:
            pytest.skip(reason)
    own_cluster.machine.tag_image(product_image, "registry.example.com/kintsugi:0.1.0")
    spaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in (MONITORING, NAME))
    own_cluster.apply(*spaces, free_volume(NAME, "ledger", "1Gi"))
    server = CoreDns(own_cluster)
    server.start()
    try:
        with server.asked_here():
            yield InstallPage(cluster=own_cluster, folder=tmp_path).open()
    finally:
        server.stop()
        Helm(folder=tmp_path, kubeconfig=own_cluster.kubeconfig).uninstall()
        with suppress(KubectlError):
            own_cluster.kubectl("delete", "crd", "alertmanagerconfigs.monitoring.coreos.com", "--ignore-not-found")
        clear(own_cluster, NAME)
        clear(own_cluster, INGRESS)
        for each in ("webhook", "operators", "ledger", "tls"):
            remove(own_cluster, "secret", f"{NAME}-{each}", NAME)
        remove(own_cluster, "secret", "kintsugi-webhook", MONITORING)


@pytest.fixture
def alertmanager(page: InstallPage) -> Iterator[Program]:
    """Return an Alertmanager that reads the page's file, at the page's port; it is not started yet."""
    arguments = [
        PROGRAM,
        f"--config.file={page.folder / 'alertmanager.yml'}",
        f"--storage.path={page.folder / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:9093",
        "--cluster.listen-address=",
    ]
    program = Program(name="alertmanager", arguments=arguments, log=page.folder / "alertmanager.log")
    yield program
    program.stop()


def test_the_page_leads_to_a_first_verdict_and_then_to_a_ledger_on_postgresql_behind_an_ingress_with_tls(
    own_cluster: RealCluster, production: str, page: InstallPage, alertmanager: Program
) -> None:
    """P9: an alert that a real Alertmanager has brought, by the page's own file."""
    related_objects(own_cluster, production, page.folder)
    page.follow("helm install")
    built = (page.folder / "docker.log").read_text()
    assert re.findall(r"--tag (\S+) \.$|^push (\S+)$", built, re.MULTILINE) == [
        ("registry.example.com/kintsugi:0.1.0", ""),
        ("", "registry.example.com/kintsugi:0.1.0"),
        ("registry.example.com/kintsugi:0.1.0", ""),
    ], "built and pushed, then built from base images by digest"
    assert "canary was accepted with the verdict no-rule" in page.follow("helm test")
    said = page.follow("kintsugi services")
    assert "shop-front" in said
    assert "derived" in said, "what the service is made of is not shown"
    assert "SUCCESS" in page.follow("amtool check-config")
    defined(own_cluster, page)
    alertmanager.start()
    wait_for(lambda: answers(9093), within=30, describe=alertmanager.tail)
    page.follow("amtool alert add")
    look = page.left[0]
    wait_for(lambda: "observed" in page.again(look), within=60, describe=lambda: page.again(look) + alertmanager.tail())
    [seen] = [line for line in page.follow("kintsugi signals").splitlines() if "KubeDeploymentReplicasMismatch" in line]
    assert "observed" in seen

    people = page.folder / "people.yaml"
    assert people.read_text().count(NGINX) == 1
    people.write_text(people.read_text().replace(NGINX, OURS))
    own_cluster.kubectl("rollout", "status", "statefulset/database", "-n", production, "--timeout=120s")
    assert "canary was accepted with the verdict no-rule" in page.follow("--values people.yaml")
    assert "KintsugiCanary" in asked_of(own_cluster, production, "SELECT labels FROM signals")
    notes = page.again("helm get notes kintsugi --namespace kintsugi")
    assert "shop-front" in own_cluster.kubectl(*asked_in(notes, "kintsugi services"))
    deliver_over_tls(page)
    wait_for(
        lambda: "KubePodCrashLooping" in asked_of(own_cluster, production, "SELECT labels FROM signals"),
        within=60,
        describe=alertmanager.tail,
    )
    page.follow("operators.token")
    token = (page.folder / "operators.token").read_text().partition(":")[2].strip()
    address = own_cluster.load_balancer_address("ingress-controller", INGRESS, within=60)
    told = wait_for(lambda: through_the_ingress(address, token, page.folder), within=60, describe="the ingress answers")
    assert [each["name"] for each in told["services"]] == ["shop-front"]
    page.follow("helm uninstall")
    assert page.left == ()
    left = own_cluster.list("pvc", NAME)
    assert [each["metadata"]["name"] for each in left] == ["kintsugi-ledger"]
    wait_for(lambda: not own_cluster.list("pod", NAME), within=60, describe=lambda: own_cluster.list("pod", NAME))


def related_objects(cluster: RealCluster, production: str, folder: Path) -> None:
    """Begin what the page finds there: a database, an ingress controller, a certificate. They come up meanwhile."""
    cluster.load_images(POSTGRES, SKIPPER)
    cluster.apply(*manifests.postgres(production, password=PASSWORD))
    (folder / "ledger.url").write_text(f"postgresql://postgres:{PASSWORD}@database-service.{production}/postgres\n")
    authority = Authority(folder / "authority")
    pair = authority.server(HOST, HOST, f"{NAME}.{NAME}.svc")
    for name, file in (("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", authority.own.certificate)):
        (folder / name).write_text(file.read_text())
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": INGRESS}})
    controller = stack_manifests.controller(pair, host=HOST, path="/openapi.json", replicas=1, arguments=("-insecure",))
    cluster.apply(stack_manifests.controller_service(), *controller)


def defined(cluster: RealCluster, page: InstallPage) -> None:
    """Follow the page for the Prometheus operator's Alertmanager: the API server knows the operator's own definition."""
    definition = parts.parts("prometheus-operator").binary(DEFINITION)
    cluster.kubectl("create", "-f", str(definition))
    state = ("get", "-f", str(definition), "-o", "jsonpath={.status.conditions[?(@.status=='True')].type}")
    wait_for(lambda: "Established" in cluster.kubectl(*state), within=60, describe=lambda: cluster.kubectl(*state))
    page.follow("alertmanagerconfig.yaml")
    wrong = (page.folder / "alertmanagerconfig.yaml").read_text().replace("sendResolved", "send_resolved")
    with pytest.raises(KubectlError, match="unknown field"):
        cluster.kubectl("apply", "-f", "-", stdin=wrong)
    [token] = yaml.safe_load(wrong)["spec"]["receivers"][0]["webhookConfigs"]
    named = token["httpConfig"]["authorization"]["credentials"]
    assert named["key"] in cluster.get("secret", named["name"], MONITORING)["data"]


def deliver_over_tls(page: InstallPage) -> None:
    """Let Alertmanager trust the authority as the page says, and have another alert to deliver."""
    file = page.folder / "alertmanager.yml"
    plain = yaml.safe_load(file.read_text())
    [webhook] = plain["receivers"][0]["webhook_configs"]
    webhook["url"] = webhook["url"].replace("http://", "https://")
    webhook["http_config"]["tls_config"] = yaml.safe_load(TRUSTED)["tls_config"]
    assert f"`{TRUSTED}`" in PAGE.read_text()
    file.write_text(yaml.safe_dump(plain))
    urlopen(Request("http://127.0.0.1:9093/-/reload", method="POST"), timeout=10).close()
    page.again(
        "amtool alert add KubePodCrashLooping namespace=production deployment=web-app-deployment "
        "--alertmanager.url=http://127.0.0.1:9093"
    )


def asked_of(cluster: RealCluster, namespace: str, statement: str) -> str:
    """Ask the database of the ledger."""
    words = ("psql", "-XAtU", "postgres", "-c", statement)
    return cluster.kubectl("exec", "database-0", "-n", namespace, "-c", "postgres", "--", *words)


def answers(port: int) -> bool:
    """Return whether something listens at a port of this machine."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


def through_the_ingress(address: str, token: str, folder: Path) -> dict[str, list[dict[str, str]]] | None:
    """Ask for the services as a person does from outside, over TLS; None while the ingress leads nowhere."""
    trusting = ssl.create_default_context(cafile=folder / "ca.crt")
    request = f"GET /api/v1/services HTTP/1.0\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n"
    with (
        socket.create_connection((address, 443), 5) as plain,
        trusting.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    found: dict[str, list[dict[str, str]]] | None = json.loads(body) if b" 200 " in head.splitlines()[0] else None
    return found
