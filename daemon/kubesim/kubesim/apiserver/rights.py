"""
The users of the embedded API and their rights: bearer tokens and rules like those of RBAC.

Asked by the server before every request, and by the access reviews, in which a caller asks for its rights before it acts.
kubectl sends those as protobuf: just they are read so, field by field, by the published numbers
(`k8s.io/api/authorization/v1/generated.proto`). Rights can be taken away while the cluster runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kubeobjects.resources import Resource
from kubesim.manifest import Json
from kubesim.storage.status import ApiRefusal, bad_request, details_of

REVIEW_PATHS: Final = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": "SubjectAccessReview",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": "SelfSubjectRulesReview",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": "SelfSubjectReview",
}

MAGIC: Final = b"k8s\x00"
ATTRIBUTES: Final = {1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Some verbs on some resources (`pods`, `pods/log`, `*`), in some groups and namespaces (none named: all)."""

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    groups: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def allows(self, request: "Access") -> bool:
        """Return whether the rule grants the request."""
        return (
            _in(request.verb, self.verbs)
            and _in(request.full_resource, self.resources)
            and _in(request.group, self.groups)
            and (not self.namespaces or request.namespace in self.namespaces)
            and (not self.names or request.name in self.names)
        )


ALL = Rule(verbs=("*",), resources=("*",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """The access that a user asks for."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def full_resource(self) -> str:
        """Write resource and subresource as a rule does."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(kw_only=True, slots=True)
class User:
    """A caller: rules grant, and what was taken away by `take` stays away until `give`."""

    name: str
    rules: tuple[Rule, ...] = ()
    taken: list[Rule] = field(default_factory=list)
    expired: bool = False

    def may(self, access: Access) -> bool:
        """Return whether the user has this right now."""
        if any(rule.allows(access) for rule in self.taken):
            return False
        return any(rule.allows(access) for rule in self.rules)

    def take(self, rule: Rule) -> None:
        """Take a right away from now on."""
        self.taken.append(rule)


ANONYMOUS = User(name="system:anonymous")


class Users:
    """Find users by their bearer tokens."""

    def __init__(self) -> None:
        self._by_token: dict[str, User] = {}

    def add(self, token: str, name: str, rules: Iterable[Rule]) -> User:
        """Make a token known, or known anew with other rules."""
        user = User(name=name, rules=tuple(rules))
        self._by_token[token] = user
        return user

    def find(self, token: str) -> User | None:
        """Return the holder of a token; None when it is unknown or expired."""
        user = self._by_token.get(token)
        return None if user is None or user.expired else user

    def named(self, name: str) -> User | None:
        """Find a user by name."""
        return next((user for user in self._by_token.values() if user.name == name), None)

    def expire(self, token: str) -> None:
        """Refuse a token from now on, as when a service account's token is rotated."""
        self._by_token[token].expired = True

    def __getitem__(self, token: str) -> User:
        return self._by_token[token]


def forbidden(user: User, access: Access, resource: Resource | None = None) -> ApiRefusal:
    """Refuse for want of a right, in the sentence of the RBAC authorizer."""
    target = f"{access.resource}.{access.group}" if access.group else access.resource
    named = f'{target} "{access.name}"' if access.name else target
    scope = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    message = (
        f'{named} is forbidden: User "{user.name}" cannot {access.verb} resource "{access.full_resource}" '
        f'in API group "{access.group}" {scope}'
    )
    return ApiRefusal(403, "Forbidden", message, details_of(resource, access.name) if resource else {})


def _in(value: str, allowed: tuple[str, ...]) -> bool:
    return value in allowed or "*" in allowed


def review(path: str, body: Json, caller: User, users: Users) -> Json:
    """Answer the review at one of `REVIEW_PATHS`."""
    kind = REVIEW_PATHS[path]
    answer: Json = {"kind": kind, "apiVersion": path.removeprefix("/apis/").rpartition("/")[0]}
    answer |= {"metadata": body.get("metadata") or {}, "spec": body.get("spec") or {}}
    match kind:
        case "SelfSubjectReview":
            del answer["spec"]
            return {**answer, "status": {"userInfo": {"username": caller.name, "groups": ["system:authenticated"]}}}
        case "SelfSubjectRulesReview":
            namespace = answer["spec"].get("namespace", "")
            rules = [_rule(rule) for rule in caller.rules if not rule.namespaces or namespace in rule.namespaces]
            return {**answer, "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}}
        case "SubjectAccessReview":
            subject = users.named(str(answer["spec"].get("user", "")))
        case _:
            subject = caller
    allowed = subject is not None and subject.may(_access(answer["spec"]))
    return {**answer, "status": {"allowed": True, "reason": "RBAC: allowed"} if allowed else {"allowed": False}}


def _access(spec: Json) -> Access:
    wanted = spec.get("resourceAttributes") or {}
    return Access(**{name: wanted.get(name, "") for name in ATTRIBUTES.values() if name != "version"})


def _rule(rule: Rule) -> Json:
    written: Json = {"verbs": list(rule.verbs), "apiGroups": list(rule.groups), "resources": list(rule.resources)}
    return {**written, "resourceNames": list(rule.names)} if rule.names else written


def decode_review(body: bytes) -> Json:
    """Read a review into the JSON that it could have been; raise ApiRefusal 400 when it cannot be read."""
    try:
        envelope = _fields(body.removeprefix(MAGIC))
        kind = _fields(envelope[1])[2].decode()
        spec = _fields(_fields(envelope[2]).get(2, b""))
        decoded: Json = {"kind": kind, "spec": _spec(kind, spec)}
    except (KeyError, IndexError, ValueError) as problem:
        raise bad_request(f"the object provided is unrecognized: {problem!r}") from problem
    return decoded


def _spec(kind: str, spec: dict[int, bytes]) -> Json:
    if kind == "SelfSubjectRulesReview":
        return {"namespace": spec.get(1, b"").decode()}
    attributes = _fields(spec.get(1, b""))
    named = {ATTRIBUTES[number]: value.decode() for number, value in attributes.items() if number in ATTRIBUTES}
    read: Json = {"resourceAttributes": {name: value for name, value in named.items() if value}}
    return {**read, "user": spec[3].decode()} if kind == "SubjectAccessReview" and 3 in spec else read


def _fields(data: bytes) -> dict[int, bytes]:
    """Read the length-delimited fields of a message; of a repeated one, the last."""
    fields: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        if wire == BYTES:
            size, place = _varint(data, place)
            fields[tag >> 3] = data[place : place + size]
            place += size
        elif wire == VARINT:
            _, place = _varint(data, place)
        elif wire in (FIXED64, FIXED32):
            place += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
    return fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
