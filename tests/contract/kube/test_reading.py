"""Reading: get, list, selectors, pages, and what is not there."""

import re

from tests.contract.kube.objects import config, unscheduled
from tests.contract.kube.talk import CORE, DISCOVERY, METADATA, TABLE, ApiUser, Check, Json


async def test_an_object_is_read_as_it_was_created(api: ApiUser, expected: Check) -> None:
    created = await api.create(api.path("configmaps"), config("one", labels={"app": "web"}, key="value"))
    read = await api.get(api.path("configmaps", "one"))
    expected("created", created)
    expected("read", read)
    assert read.body == created.body


async def test_the_metadata_of_an_object_are_read_without_its_content(api: ApiUser) -> None:
    await api.create(api.path("secrets"), {"metadata": {"name": "token"}, "stringData": {"key": "value"}})
    whole = await api.get(api.path("secrets", "token"))
    read = await api.send("GET", api.path("secrets", "token"), accept=METADATA)
    assert read.body == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": whole.body["metadata"],
    }
    (entry,) = read.body["metadata"]["managedFields"]
    assert "f:key" in entry["fieldsV1"]["f:data"]


async def test_a_table_shows_secrets_without_their_content(api: ApiUser) -> None:
    await api.create(api.path("secrets"), {"metadata": {"name": "token"}, "stringData": {"a": "b", "c": "d"}})
    for path in (api.path("secrets", "token"), api.path("secrets")):
        read = await api.send("GET", path, accept=TABLE, includeObject="None", fieldSelector="metadata.name=token")
        assert (read.status, read.body["kind"]) == (200, "Table")
        assert [each["name"] for each in read.body["columnDefinitions"]] == ["Name", "Type", "Data", "Age"]
        (row,) = read.body["rows"]
        assert row["cells"][:3] == ["token", "Opaque", 2]
        assert re.fullmatch(r"\d+s", row["cells"][3])
        assert row["object"] is None
    (whole,) = (await api.send("GET", api.path("secrets", "token"), accept=TABLE, includeObject="Object")).body["rows"]
    assert whole["object"]["data"] == {"a": "Yg==", "c": "ZA=="}


async def test_an_object_that_is_not_there_is_named(api: ApiUser, expected: Check) -> None:
    expected("core", await api.get(api.path("pods", "none")))
    expected("group", await api.get(api.path("deployments", "none")))
    expected("cluster-wide", await api.get(f"{CORE}/nodes/none"))
    expected("delete", await api.delete(api.path("configmaps", "none")))
    expected("patch", await api.patch(api.path("configmaps", "none"), {"data": {"a": "b"}}))
    expected("log", await api.get(api.path("pods", "none", "log")))


async def test_a_path_that_is_not_served_is_not_found(api: ApiUser, expected: Check) -> None:
    expected("resource", await api.get("/api/v1/unknown"))
    expected("in a namespace", await api.get(api.path("unknown")))
    expected("group", await api.get("/apis/unknown.dev/v1/things"))
    expected("subresource", await api.get(api.path("pods", "x", "unknown")))
    expected("no API", await api.get("/nowhere/at/all"))


async def test_a_method_that_the_path_does_not_have_is_refused(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one"))
    expected("post on an object", await api.create(api.path("configmaps", "one"), config("one")))
    expected("put on a collection", await api.send("PUT", api.path("configmaps"), config("one")))
    expected("patch on a collection", await api.patch(api.path("configmaps"), {"data": {}}))


async def test_a_list_holds_what_the_labels_select(api: ApiUser, expected: Check) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "front")):
        await api.create(api.path("configmaps"), config(name, labels={"case": "list", "tier": tier}))
    await api.create(api.path("configmaps"), config("d"))
    expected("equal", await api.get(api.path("configmaps"), labelSelector="tier=front"))
    for text, names in (
        ("case=list,tier!=front", ["b"]),
        ("tier in (front, back),case", ["a", "b", "c"]),
        ("case=list,tier notin (back)", ["a", "c"]),
        ("case=list,!absent", ["a", "b", "c"]),
        ("tier==back", ["b"]),
        ("tier=nothing", []),
    ):
        found = await api.get(api.path("configmaps"), labelSelector=text)
        assert [each["metadata"]["name"] for each in found.body["items"]] == names, text


async def test_a_list_holds_what_the_fields_select(api: ApiUser, expected: Check) -> None:
    for name in ("a", "b"):
        await api.create(api.path("pods"), unscheduled(name))
    for text, names in (
        ("metadata.name=a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("status.phase=Pending", ["a", "b"]),
        ("status.phase==Running", []),
        ("spec.nodeName=", ["a", "b"]),
        ("spec.restartPolicy=Always,metadata.name=b", ["b"]),
        (f"metadata.namespace={api.namespace}", ["a", "b"]),
    ):
        found = await api.get(api.path("pods"), fieldSelector=text)
        assert [each["metadata"]["name"] for each in found.body["items"]] == names, text
    expected("unknown field", await api.get(api.path("pods"), fieldSelector="spec.hostname=a"))
    expected("unknown field of a kind without any", await api.get(api.path("configmaps"), fieldSelector="data.a=b"))


async def test_an_empty_list_is_a_list(api: ApiUser, expected: Check) -> None:
    expected("pods", await api.get(api.path("pods")))
    expected("deployments", await api.get(api.path("deployments")))
    expected("events", await api.get(api.path("events")))


async def test_a_list_comes_in_pages_of_one_moment(api: ApiUser, expected: Check) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await api.create(api.path("configmaps"), config(name, labels={"case": "pages"}))
    await api.delete(api.path("configmaps", "kube-root-ca.crt"))
    first = await api.get(api.path("configmaps"), limit=2, labelSelector="case=pages")
    expected("first", first)
    await api.create(api.path("configmaps"), config("b2", labels={"case": "pages"}))
    await api.delete(api.path("configmaps", "e"))
    second = await api.get(
        api.path("configmaps"), limit=2, labelSelector="case=pages", **{"continue": first.body["metadata"]["continue"]}
    )
    expected("second", second)
    last = await api.get(
        api.path("configmaps"), limit=2, labelSelector="case=pages", **{"continue": second.body["metadata"]["continue"]}
    )
    names = [each["metadata"]["name"] for answer in (first, second, last) for each in answer.body["items"]]
    assert names == ["a", "b", "c", "d", "e"]
    versions = {answer.body["metadata"]["resourceVersion"] for answer in (first, second, last)}
    assert len(versions) == 1


async def test_a_page_of_an_unselected_list_tells_how_much_is_left(api: ApiUser) -> None:
    for name in ("a", "b", "c"):
        await api.create(api.path("pods"), unscheduled(name))
    page = (await api.get(api.path("pods"), limit=1)).body
    assert page["metadata"]["remainingItemCount"] == 2
    rest = (await api.get(api.path("pods"), **{"continue": page["metadata"]["continue"]})).body
    assert [each["metadata"]["name"] for each in rest["items"]] == ["b", "c"]
    assert "continue" not in rest["metadata"]


async def test_a_continue_token_that_is_none_is_refused(api: ApiUser) -> None:
    answer = await api.get(api.path("pods"), limit=1, **{"continue": "nonsense"})
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")


async def test_a_version_is_told(api: ApiUser) -> None:
    answer = await api.get("/version")
    assert (answer.status, answer.body["major"], answer.body["minor"]) == (200, "1", "34")
    for path in ("/livez", "/readyz", "/healthz"):
        assert (await api.get(path)).status == 200


async def test_all_kinds_are_listed_in_one_answer_where_that_is_asked_for(api: ApiUser, expected: Check) -> None:
    for path, group, plurals in (
        ("/api", "", ("pods", "nodes")),
        ("/apis", "apps", ("deployments",)),
        ("/apis", "storage.k8s.io", ("storageclasses",)),
        ("/apis", "admissionregistration.k8s.io", ("validatingwebhookconfigurations",)),
    ):
        answer = await api.send("GET", path, accept=f"{DISCOVERY},application/json")
        assert answer.headers["Content-Type"] == DISCOVERY
        expected(f"{path} without its items", {**answer.body, "items": []})
        (found,) = (each for each in answer.body["items"] if each["metadata"].get("name", "") == group)
        (preferred, *_) = found["versions"]
        kept = [_without_most_parts(each) for each in preferred["resources"] if each["resource"] in plurals]
        expected(f"{group or 'core'}", {**found, "versions": [{**preferred, "resources": kept}]})
    assert (await api.send("GET", "/apis", accept="application/json")).body["kind"] == "APIGroupList"


def _without_most_parts(resource: Json) -> Json:
    """Leave of the subresources those that the embedded cluster serves, too."""
    parts = [
        each for each in resource.get("subresources", ()) if each["subresource"] in ("scale", "status", "eviction")
    ]
    return {**resource, "subresources": parts}
