"""Watches: what they tell, in which order, and how they end."""

from collections.abc import Sequence

from tests.contract.kube.objects import config
from tests.contract.kube.talk import ApiUser, Check, Json


def told(events: Sequence[Json]) -> list[tuple[str, str]]:
    """Show events by type and name."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def test_a_watch_tells_what_happens_after_a_version(api: ApiUser, expected: Check) -> None:
    version = await api.version()
    path = api.path("configmaps")
    async with api.watch(path, resourceVersion=version, labelSelector="case=watch") as watch:
        await api.create(path, config("one", labels={"case": "watch"}, key="1"))
        await api.patch(api.path("configmaps", "one"), {"data": {"key": "2"}})
        await api.delete(api.path("configmaps", "one"))
        events = await watch.take(3)
    expected("events", events)
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


async def test_a_watch_goes_on_where_another_ended(api: ApiUser) -> None:
    path = api.path("configmaps")
    first = (await api.create(path, config("one", labels={"case": "watch"}))).body["metadata"]["resourceVersion"]
    await api.create(path, config("two", labels={"case": "watch"}))
    await api.delete(api.path("configmaps", "one"))
    async with api.watch(path, resourceVersion=first, labelSelector="case=watch") as watch:
        assert told(await watch.take(2)) == [("ADDED", "two"), ("DELETED", "one")]


async def test_a_watch_without_a_version_begins_with_what_is_there(api: ApiUser) -> None:
    path = api.path("configmaps")
    for name in ("one", "two"):
        await api.create(path, config(name, labels={"case": "watch"}))
    for query in ({}, {"resourceVersion": "0"}):
        async with api.watch(path, labelSelector="case=watch", **query) as watch:
            assert sorted(told(await watch.take(2))) == [("ADDED", "one"), ("ADDED", "two")]
            await api.patch(api.path("configmaps", "one"), {"data": {"query": str(query)}})
            assert told(await watch.take(1)) == [("MODIFIED", "one")]


async def test_an_object_that_leaves_the_selection_is_told_as_deleted(api: ApiUser, expected: Check) -> None:
    path = api.path("configmaps")
    version = await api.version()
    async with api.watch(path, resourceVersion=version, labelSelector="tier=front") as watch:
        await api.create(path, config("one", labels={"tier": "front"}, key="1"))
        changed = await api.patch(
            api.path("configmaps", "one"), {"metadata": {"labels": {"tier": "back"}}, "data": {"key": "2"}}
        )
        await api.patch(api.path("configmaps", "one"), {"data": {"key": "3"}})
        await api.patch(api.path("configmaps", "one"), {"metadata": {"labels": {"tier": "front"}}})
        events = await watch.take(3)
    expected("events", events)
    assert events[1]["object"]["metadata"]["resourceVersion"] == changed.body["metadata"]["resourceVersion"]


async def test_a_watch_can_be_for_one_object(api: ApiUser) -> None:
    path = api.path("configmaps")
    version = await api.version()
    async with api.watch(path, resourceVersion=version, fieldSelector="metadata.name=two") as watch:
        for name in ("one", "two", "three"):
            await api.create(path, config(name))
        await api.delete(api.path("configmaps", "two"))
        assert told(await watch.take(2)) == [("ADDED", "two"), ("DELETED", "two")]


async def test_bookmarks_come_when_they_are_asked_for(api: ApiUser, expected: Check) -> None:
    """A bookmark comes shortly before the end of a watch, when there is something to tell: here, somebody else's."""
    path, version = api.path("configmaps"), await api.version()
    query = {"resourceVersion": version, "labelSelector": "case=none", "timeoutSeconds": 5}
    async with api.watch(path, allowWatchBookmarks="true", **query) as marked, api.watch(path, **query) as plain:
        await api.create(path, config("other"))
        events = await marked.rest()
        assert await plain.rest() == []
    assert {event["type"] for event in events} == {"BOOKMARK"}
    expected("bookmark", events[0])
    assert int(events[0]["object"]["metadata"]["resourceVersion"]) > int(version)


async def test_a_watch_ends_after_its_timeout(api: ApiUser) -> None:
    async with api.watch(api.path("configmaps"), resourceVersion=await api.version(), timeoutSeconds=1) as watch:
        assert watch.status == 200
        assert await watch.next(within=5) is None


async def test_a_list_can_be_streamed(api: ApiUser, expected: Check) -> None:
    path = api.path("configmaps")
    for name in ("one", "two"):
        await api.create(path, config(name, labels={"case": "watch"}))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with api.watch(path, labelSelector="case=watch", **query) as watch:
        events = await watch.take(3)
    assert sorted(told(events[:2])) == [("ADDED", "one"), ("ADDED", "two")]
    expected("end of the list", events[2])


async def test_a_version_that_is_too_old_is_gone(api: ApiUser, expected: Check) -> None:
    path = api.path("configmaps")
    for name in ("one", "two", "three"):
        await api.create(path, config(name, labels={"case": "watch"}))
    page = (await api.get(path, limit=1)).body["metadata"]["continue"]
    await api.create(path, config("four"))
    api.forget_history()
    async with api.watch(path, resourceVersion=2) as watch:
        assert watch.status == 200
        expected("watch", await watch.next())
        assert await watch.next() is None
    expected("page", await api.get(path, limit=1, **{"continue": page}))


async def test_a_version_that_is_none_is_refused(api: ApiUser, expected: Check) -> None:
    path = api.path("configmaps")
    expected("watch", await api.get(path, watch="true", resourceVersion="nonsense"))
    expected("list", await api.get(path, resourceVersion="nonsense"))


async def test_a_version_that_has_not_come_to_be_is_waited_for_in_vain(api: ApiUser) -> None:
    answer = await api.get(api.path("configmaps"), resourceVersion="99999999")
    assert (answer.status, answer.body["reason"], answer.headers["Retry-After"]) == (504, "Timeout", "1")
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
