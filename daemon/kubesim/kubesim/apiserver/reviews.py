"""Access reviews: a caller asks for its rights before it acts."""

from typing import Final

from kubesim.apiserver.rights import Access, Rule, User, Users
from kubesim.manifest import Json

PATHS: Final = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": "SubjectAccessReview",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": "SelfSubjectRulesReview",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": "SelfSubjectReview",
}


def review(path: str, body: Json, caller: User, users: Users) -> Json:
    """Answer the review at one of `PATHS`."""
    kind = PATHS[path]
    answer: Json = {"kind": kind, "apiVersion": path.removeprefix("/apis/").rpartition("/")[0]}
    answer |= {"metadata": body.get("metadata") or {}, "spec": body.get("spec") or {}}
    match kind:
        case "SelfSubjectReview":
            del answer["spec"]
            return {**answer, "status": {"userInfo": {"username": caller.name, "groups": ["system:authenticated"]}}}
        case "SelfSubjectRulesReview":
            return {**answer, "status": {"resourceRules": [_rule(rule) for rule in caller.rules], "incomplete": False}}
        case "SubjectAccessReview":
            subject = users.named(str(answer["spec"].get("user", "")))
        case _:
            subject = caller
    allowed = subject is not None and subject.may(_access(answer["spec"]))
    status: Json = {"allowed": allowed}
    if allowed:
        status["reason"] = "RBAC: allowed"
    return {**answer, "status": status}


def _access(spec: Json) -> Access:
    wanted = spec.get("resourceAttributes") or {}
    return Access(
        verb=wanted.get("verb", ""),
        resource=wanted.get("resource", ""),
        group=wanted.get("group", ""),
        namespace=wanted.get("namespace", ""),
        name=wanted.get("name", ""),
        subresource=wanted.get("subresource", ""),
    )


def _rule(rule: Rule) -> Json:
    written: Json = {"verbs": list(rule.verbs), "apiGroups": list(rule.groups), "resources": list(rule.resources)}
    return {**written, "resourceNames": list(rule.names)} if rule.names else written
