"""A Service needs a namespace and a workload; all else is derived, and can be said otherwise."""

from pathlib import Path

import pytest

from kintsugi.catalog import catalog_paths, load
from kintsugi.catalog.build import HEALTHY
from kintsugi.model.catalog import Catalog
from kubeobjects.selectors import NOTHING

SHORT = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  namespace: shop
  workload: {workload}
{more}"""


def short(name: str = "cart", workload: str = "deployment/cart", more: str = "") -> str:
    """Write a Service of three lines; `more` are further keys of its spec."""
    return SHORT.format(name=name, workload=workload, more="".join(f"  {line}\n" for line in more.splitlines()))


def taken(folder: Path, *texts: str) -> Catalog:
    """Load documents of one's own as `kintsugi run --catalog` does."""
    (folder / "own.yaml").write_text("---\n".join(texts))
    return load(catalog_paths(None, [folder], example=False))


@pytest.mark.parametrize("workload", ["deployment/cart", "statefulset/cart", "daemonset/cart"])
def test_a_service_derives_what_it_does_not_say(tmp_path: Path, workload: str) -> None:
    catalog = taken(tmp_path, short(workload=workload))
    service = catalog.services["cart"]
    assert (str(service.workload), service.namespace) == (workload, "shop")
    assert (service.selector, service.healthy.source) == (NOTHING, HEALTHY)
    assert (service.runbook, service.priority, service.depends_on) == ("workload-recovery", 1000, ())


def test_a_service_has_what_it_says(tmp_path: Path) -> None:
    more = "priority: 2\ndependsOn: [db]\nselector: app=cart\nhealthy: ready > 0\nrunbook: start-service"
    service = taken(tmp_path, short(more=more), short("db", "statefulset/db")).services["cart"]
    assert (service.priority, service.depends_on, str(service.selector)) == (2, ("db",), "app=cart")
    assert (service.healthy.source, service.runbook) == ("ready > 0", "start-service")


def test_a_service_without_a_priority_is_waited_for_by_those_alone_that_say_so(tmp_path: Path) -> None:
    catalog = taken(
        tmp_path, short(), short("last", "deployment/last", "priority: 999"), short("first", more="priority: 1")
    )
    assert catalog.services["last"].depends_on == ("first",)
    assert catalog.services["cart"].depends_on == ()
