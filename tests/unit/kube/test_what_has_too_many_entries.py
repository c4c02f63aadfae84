"""What has more entries than anything in earnest is not taken in; for a decision about all objects there is no bound. B16."""

import json
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from kintsugi.errors import KubeError, OutcomeUnknown, ServerUnavailable
from kintsugi.json_limits import MOST_IN_ANSWER, MOST_IN_OBJECT, MOST_OBJECTS, entries_of, max_entries
from kintsugi.kube.api_errors import Request
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.settings import KubeSettings
from kubeobjects.kept import Pod
from kubeobjects.resources import CONFIGMAPS, PODS

Json = dict[str, object]


class Pages:
    """A server whose list has these pages, and whose objects are all the first item."""

    def __init__(self, *pages: Sequence[object]) -> None:
        self._pages = pages

    async def send(self, request: Request, *, total: timedelta | None = None) -> bytes:
        if request.method != "GET" or urlsplit(request.path).path.count("/") == 6:
            return json.dumps(self._pages[0][0]).encode()
        at = int(dict(request.params).get("continue", 0))
        token = str(at + 1) if at + 1 < len(self._pages) else ""
        return json.dumps({"metadata": {"resourceVersion": "7", "continue": token}, "items": self._pages[at]}).encode()


def kube(*pages: Sequence[object]) -> KubeClient:
    return KubeClient(Pages(*pages), KubeSettings())  # type: ignore[arg-type]


def pod(name: str, **status: object) -> Json:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"u-{name}", "resourceVersion": "1"},
        "status": status,
    }


def with_entries(count: int) -> Json:
    """Return an object of exactly so many entries: itself, its metadata, the name, its data and what they hold."""
    return {"metadata": {"name": "a"}, "data": {f"k{number:06}": "" for number in range(count - 4)}}


def test_entries_are_counted_however_they_are_nested() -> None:
    value = {"a": [1, {"b": None}, []], "c": "x,[{"}
    assert entries_of(value, 1000) == 7
    assert max_entries(json.dumps(value).encode()) >= 7
    assert entries_of([{}] * 1000, 10) > 10


async def test_an_object_has_only_so_many_entries() -> None:
    found = await kube([with_entries(MOST_IN_OBJECT)]).get(CONFIGMAPS, "a", "shop")
    assert entries_of(found, 10**6) == MOST_IN_OBJECT
    why = r"GET .*/configmaps/a: the object has more than 32,768 entries: .*remove unneeded entries"
    with pytest.raises(KubeError, match=why) as error:
        await kube([with_entries(MOST_IN_OBJECT + 1)]).get(CONFIGMAPS, "a", "shop")
    assert not isinstance(error.value, ServerUnavailable), "asking again is no use"


async def test_text_in_an_object_is_no_entry_however_much_it_looks_like_json() -> None:
    """A ConfigMap may hold a file of a megabyte."""
    file: Json = {"metadata": {"name": "a"}, "data": {"list.csv": "a,b,c,[{" * 100_000}}
    assert await kube([file]).get(CONFIGMAPS, "a", "shop") == file
    assert (await kube([file, file]).list(CONFIGMAPS, "shop")).items[1]["data"] == file["data"]


async def test_the_outcome_of_a_change_that_is_answered_with_too_much_is_unknown() -> None:
    client = kube([with_entries(MOST_IN_OBJECT + 1)])
    with pytest.raises(OutcomeUnknown, match="more than 32,768 entries"):
        await client.patch(CONFIGMAPS, "a", "shop", {}, kind=PatchKind.MERGE)


async def test_a_list_has_only_so_many_entries_on_however_many_pages() -> None:
    half = [with_entries(MOST_IN_ANSWER // 2 - 100)]
    assert len((await kube(half, half).list(CONFIGMAPS, "shop")).items) == 2
    why = r"GET .*/configmaps: the list has more than .* 65,536 entries: .*field-selector"
    with pytest.raises(KubeError, match=why):
        await kube(half, half, half).list(CONFIGMAPS, "shop")


async def test_a_list_has_only_so_many_objects() -> None:
    each: Json = {"metadata": {}}
    first, rest = [each] * 1000, [each] * (MOST_OBJECTS - 1000)
    assert len((await kube(first, rest).list(PODS)).items) == MOST_OBJECTS
    with pytest.raises(KubeError, match=r"more than 4,096 objects"):
        await kube(first, [*rest, each]).list(PODS)


async def test_managed_fields_are_no_part_of_a_list() -> None:
    managed = {**pod("a"), "metadata": {"name": "a", "managedFields": [{}] * MOST_IN_ANSWER}}
    (found,) = (await kube([managed]).list(PODS)).items
    assert found["metadata"] == {"name": "a"}
    assert (found["apiVersion"], found["kind"]) == ("v1", "Pod")


async def test_a_decision_is_about_all_objects_however_many_there_are() -> None:
    pages = [[pod(f"p{page}-{number}", phase="Running") for number in range(500)] for page in range(20)]
    found = [each.metadata.name async for each in kube(*pages).iter_objects(PODS, Pod)]
    assert found == [f"p{page}-{number}" for page in range(20) for number in range(500)]


async def test_an_object_that_cannot_be_read_leaves_a_decision_about_all_without_an_answer() -> None:
    client = kube([pod("a"), pod("b", containerStatuses=7), pod("c")])
    with pytest.raises(KubeError, match=r"pod shop/b cannot be read: Expected"):
        [each async for each in client.iter_objects(PODS, Pod)]
