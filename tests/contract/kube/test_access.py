"""Who may do what: refusals in the server's words, and reviews that ask before."""

from dataclasses import replace

from tests.contract.kube.objects import config
from tests.contract.kube.talk import CORE, ApiUser, Check, Json

REVIEWS = "/apis/authorization.k8s.io/v1"
READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}


async def test_a_missing_right_is_named(api: ApiUser, expected: Check) -> None:
    reader = api.may("reader", READ_PODS)
    assert (await reader.get(api.path("pods"))).status == 200
    expected("delete", await reader.delete(api.path("pods", "one")))
    expected("list", await reader.get(api.path("deployments")))
    expected("watch", await reader.get(api.path("deployments"), watch="true"))
    expected("create", await reader.create(api.path("configmaps"), config("one")))
    expected("patch", await reader.patch(api.path("deployments", "web", "scale"), {}))
    expected("log", await reader.get(api.path("pods", "one", "log")))
    expected("eviction", await reader.create(api.path("pods", "one", "eviction"), {}))
    expected("collection", await reader.delete(api.path("pods")))
    expected("all namespaces", await reader.get(f"{CORE}/pods"))
    expected("cluster-wide", await reader.get(f"{CORE}/nodes/node"))


async def test_a_right_can_be_for_some_names_only_and_is_for_known_users(api: ApiUser, expected: Check) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["mine"]}
    user = api.may("narrow", rule)
    await api.create(api.path("configmaps"), config("mine"))
    assert (await user.get(api.path("configmaps", "mine"))).status == 200
    expected("other name", await user.get(api.path("configmaps", "other")))
    expected("not a token", await replace(user, token="not-a-token").get(api.path("pods")))
    nobody = replace(user, token="")
    expected("anonymous", await nobody.get(api.path("pods")))
    assert (await nobody.get("/version")).status == 200


def review(api: ApiUser, kind: str = "SelfSubjectAccessReview", **attributes: str) -> Json:
    """Ask for a right in the own namespace."""
    spec = {"resourceAttributes": {"namespace": api.namespace, **attributes}}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}


async def test_a_user_can_ask_for_their_own_rights(api: ApiUser, expected: Check) -> None:
    reader = api.may("reader", READ_PODS)
    path = f"{REVIEWS}/selfsubjectaccessreviews"
    refused = await reader.create(path, review(api, verb="delete", resource="pods"))
    expected("refused", refused)
    for attributes, allowed in (
        ({"verb": "list", "resource": "pods"}, True),
        ({"verb": "get", "resource": "pods", "name": "one"}, True),
        ({"verb": "get", "resource": "pods", "subresource": "log"}, False),
        ({"verb": "get", "resource": "deployments", "group": "apps"}, False),
        ({"verb": "get", "resource": "pods", "namespace": "default"}, False),
    ):
        answer = await reader.create(path, review(api, **attributes))
        assert (answer.status, answer.body["status"]["allowed"]) == (201, allowed), attributes
    assert (await api.create(path, review(api, verb="delete", resource="pods"))).body["status"]["allowed"] is True


async def test_a_user_can_ask_for_all_their_rights_in_a_namespace(api: ApiUser) -> None:
    reader = api.may("reader", READ_PODS, {**READ_PODS, "resources": ["configmaps"], "resourceNames": ["mine"]})
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    path = f"{REVIEWS}/selfsubjectrulesreviews"
    own = await reader.create(path, {**kind, "spec": {"namespace": api.namespace}})
    other = await reader.create(path, {**kind, "spec": {"namespace": "default"}})
    assert (own.status, other.status) == (201, 201)
    rules = own.body["status"]["resourceRules"]
    for rule in (READ_PODS, {**READ_PODS, "resources": ["configmaps"], "resourceNames": ["mine"]}):
        assert rule in rules
        assert rule not in other.body["status"]["resourceRules"]
    assert isinstance(own.body["status"]["nonResourceRules"], list)
    assert isinstance(own.body["status"]["incomplete"], bool)


async def test_an_administrator_can_ask_for_the_rights_of_others(api: ApiUser) -> None:
    api.may("reader", READ_PODS)
    user = f"system:serviceaccount:{api.namespace}:reader"
    for verb, allowed in (("list", True), ("delete", False)):
        body = review(api, "SubjectAccessReview", verb=verb, resource="pods")
        body["spec"]["user"] = user
        answer = await api.create(f"{REVIEWS}/subjectaccessreviews", body)
        assert (answer.status, answer.body["status"]["allowed"]) == (201, allowed)


async def test_a_user_can_ask_who_they_are(api: ApiUser) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await api.may("reader").create(path, body)
    assert answer.body["status"]["userInfo"]["username"] == f"system:serviceaccount:{api.namespace}:reader"
