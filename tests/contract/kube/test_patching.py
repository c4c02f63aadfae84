"""Patches of three kinds, and those that cannot be applied."""

import pytest

from tests.contract.kube.objects import config, idle, unscheduled
from tests.contract.kube.talk import JSON_PATCH, MERGE, STRATEGIC, Answer, ApiUser, Check, Json


async def test_a_merge_patch_sets_and_removes(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one", labels={"a": "1", "b": "2"}, x="1", y="2"))
    patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "data": {"x": None, "z": "3"}}
    expected("answer", await api.patch(api.path("configmaps", "one"), patch))


async def test_a_merge_patch_replaces_lists(api: ApiUser) -> None:
    await api.create(api.path("deployments"), idle())
    containers = [{"name": "other", "image": "web:better"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    answer = await api.patch(api.path("deployments", "web"), patch, MERGE)
    assert [each["name"] for each in answer.body["spec"]["template"]["spec"]["containers"]] == ["other"]


async def test_a_strategic_patch_merges_containers_and_their_environment(api: ApiUser, expected: Check) -> None:
    body = idle()
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
    ]
    await api.create(api.path("deployments"), body)
    path = api.path("deployments", "web")

    def spec(answer: Answer) -> Json:
        assert answer.status == 200, answer
        found: Json = answer.body["spec"]
        return found

    def containers(*items: Json) -> Json:
        return {"spec": {"template": {"spec": {"containers": list(items)}}}}

    environment = [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]
    expected("env", spec(await api.patch(path, containers({"name": "web", "env": environment}), STRATEGIC)))
    sidecar = {"name": "side", "image": "web:better"}
    expected("another container", spec(await api.patch(path, containers(sidecar), STRATEGIC)))
    gone = {"name": "side", "$patch": "delete"}
    expected("container deleted", spec(await api.patch(path, containers(gone), STRATEGIC)))
    ports = [{"containerPort": 9090, "name": "metrics"}]
    expected("ports", spec(await api.patch(path, containers({"name": "web", "ports": ports}), STRATEGIC)))
    swapped = [{"$patch": "replace"}, {"name": "only", "image": "web:better"}]
    expected("containers replaced", spec(await api.patch(path, containers(*swapped), STRATEGIC)))


async def test_a_strategic_patch_sets_annotations_as_a_restart_does(api: ApiUser) -> None:
    await api.create(api.path("deployments"), idle())
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-11-24T10:00:00Z"}
    patch = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    answer = await api.patch(api.path("deployments", "web"), patch, STRATEGIC)
    assert answer.body["spec"]["template"]["metadata"]["annotations"] == stamp
    assert answer.body["metadata"]["generation"] == 2


async def test_a_strategic_patch_merges_conditions_by_type(api: ApiUser) -> None:
    await api.create(api.path("pods"), unscheduled("one"))
    path = api.path("pods", "one", "status")
    for kind, status in (("A", "True"), ("B", "True"), ("A", "False")):
        condition = {"type": f"contract.dev/{kind}", "status": status}
        answer = await api.patch(path, {"status": {"conditions": [condition]}}, STRATEGIC)
    found = {each["type"]: each["status"] for each in answer.body["status"]["conditions"]}
    assert found == {"contract.dev/A": "False", "contract.dev/B": "True"}


async def test_a_json_patch_does_its_operations_in_order(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one", labels={"a/b": "1"}, x="1", y="2"))
    patch = [
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "9"},
        {"op": "remove", "path": "/metadata/labels/a~1b"},
        {"op": "add", "path": "/data/z", "value": "3"},
        {"op": "copy", "from": "/data/z", "path": "/data/w"},
        {"op": "move", "from": "/data/y", "path": "/data/v"},
    ]
    expected("answer", await api.patch(api.path("configmaps", "one"), patch, JSON_PATCH))


async def test_a_json_patch_works_on_lists(api: ApiUser) -> None:
    await api.create(api.path("deployments"), idle())
    at = "/spec/template/spec/containers"
    patch = [
        {"op": "add", "path": f"{at}/0", "value": {"name": "first", "image": "web:good"}},
        {"op": "add", "path": f"{at}/-", "value": {"name": "last", "image": "web:good"}},
        {"op": "remove", "path": f"{at}/1"},
    ]
    answer = await api.patch(api.path("deployments", "web"), patch, JSON_PATCH)
    names = [each["name"] for each in answer.body["spec"]["template"]["spec"]["containers"]]
    assert names == ["first", "last"]


async def test_a_json_patch_whose_test_fails_changes_nothing(api: ApiUser, expected: Check) -> None:
    created = (await api.create(api.path("configmaps"), config("one", x="1"))).body
    path = api.path("configmaps", "one")
    late = [{"op": "replace", "path": "/data/x", "value": "2"}, {"op": "test", "path": "/data/x", "value": "1"}]
    expected("late test", await api.patch(path, late, JSON_PATCH))
    absent = [{"op": "test", "path": "/data/none", "value": "1"}]
    expected("absent field", await api.patch(path, absent, JSON_PATCH))
    absent_parent = [{"op": "test", "path": "/spec/replicas", "value": 1}]
    expected("absent parent", await api.patch(path, absent_parent, JSON_PATCH))
    uid = [{"op": "test", "path": "/metadata/uid", "value": "another"}, {"op": "remove", "path": "/data/x"}]
    expected("uid", await api.patch(path, uid, JSON_PATCH))
    assert (await api.get(path)).body == created


async def test_a_json_patch_can_test_that_something_is_null(api: ApiUser) -> None:
    await api.create(api.path("configmaps"), config("one", x="1"))
    patch = [{"op": "test", "path": "/data/none", "value": None}, {"op": "add", "path": "/data/none", "value": "1"}]
    answer = await api.patch(api.path("configmaps", "one"), patch, JSON_PATCH)
    assert (answer.status, answer.body["data"]) == (200, {"x": "1", "none": "1"})


NOTES = {"x": "a && b 2>&1 <c> \u2028\u2029", "y": 'a/"\\\n\t\u0001', "z": "\u00e9\u007f\U0001f600"}
X, Y, Z = (f"/metadata/annotations/{key}" for key in NOTES)
NUMBER, MAP, LIST = "/metadata/generation", "/spec/selector", "/spec/template/spec/containers/0/args"


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        (X, rb'"a \u0026\u0026 b 2\u003e\u00261 \u003cc\u003e \u2028\u2029"', 200),
        (X, '"a && b 2>&1 <c> \u2028\u2029"'.encode(), 422),
        (X, rb'"a \u0026\u0026 b 2\u003E\u00261 \u003Cc\u003E \u2028\u2029"', 422),
        (Y, rb'"a/\"\\\n\t\u0001"', 200),
        (Y, rb'"a\/\"\\\n\t\u0001"', 422),
        (Z, '"\u00e9\u007f\U0001f600"'.encode(), 200),
        (Z, rb'"\u00e9\u007f\ud83d\ude00"', 422),
        (NUMBER, b"1", 200),
        (NUMBER, b"1.0", 422),
        (MAP, rb'{ "matchLabels" : {"\u0061pp":"web"} }', 200),
        (MAP, b'{"matchLabels":{"app":"other"}}', 422),
        (LIST, b'[ "-c" ,"a" ]', 200),
        (LIST, b'["-c"]', 422),
        (LIST, b'{"0":"-c","1":"a"}', 422),
    ],
)
async def test_a_json_patch_tests_strings_and_numbers_as_they_are_spelled(
    api: ApiUser, path: str, value: bytes, status: int
) -> None:
    """B23: Go writes `&`, `<`, `>`, U+2028 and U+2029 escaped; objects and lists are compared by their parts."""
    body = idle()
    body["metadata"]["annotations"] = NOTES
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["-c", "a"]
    await api.create(api.path("deployments"), body)
    patch = b'[{"op":"test","path":"' + path.encode() + b'","value":' + value + b"}]"
    answer = await api.send("PATCH", api.path("deployments", "web"), patch, kind=JSON_PATCH)
    assert answer.status == status


async def test_a_json_patch_that_leads_nowhere_changes_nothing(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one", x="1"))
    path = api.path("configmaps", "one")
    for label, operation in (
        ("remove", {"op": "remove", "path": "/data/none"}),
        ("replace", {"op": "replace", "path": "/data/none", "value": "1"}),
        ("add below nothing", {"op": "add", "path": "/none/at/all", "value": "1"}),
    ):
        expected(label, await api.patch(path, [operation], JSON_PATCH))


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_patch_of_an_unknown_kind_is_refused(api: ApiUser, kind: str) -> None:
    await api.create(api.path("configmaps"), config("one"))
    answer = await api.patch(api.path("configmaps", "one"), {"data": {"a": "b"}}, kind)
    assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")
    assert answer.body["message"] == "415: Unsupported Media Type"


async def test_a_patch_that_is_not_json_is_refused(api: ApiUser) -> None:
    await api.create(api.path("configmaps"), config("one"))
    for kind in (MERGE, JSON_PATCH, STRATEGIC):
        answer = await api.send("PATCH", api.path("configmaps", "one"), b'{"data":', kind=kind)
        assert (answer.status, answer.body["reason"]) == (400, "BadRequest"), kind


async def test_a_patch_cannot_make_an_object_invalid(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("deployments"), idle())
    answer = await api.patch(api.path("deployments", "web"), {"spec": {"replicas": -1}})
    expected("answer", answer)
