"""
The users of the embedded API and their rights: bearer tokens and rules like those of RBAC.

Asked by the server before every request, and by the access reviews. Rights can be taken away while
the cluster runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from kubeobjects.resources import Resource
from kubesim.storage.status import ApiRefusal, details_of


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
