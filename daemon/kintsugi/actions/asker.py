"""For whom a look is made: all that its answer may depend on besides the command."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kintsugi.model.documents import Pattern, SecretRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """
    The step and the service behind a look.

    `env` are the service's Secrets, in its `namespace`. `good` are the pod templates known to be good. `patterns` are
    what the lines of a log are scanned for; none: they are not scanned.
    """

    namespace: str = ""
    env: Mapping[str, SecretRef] = field(default_factory=dict)
    good: frozenset[str] = frozenset()
    patterns: tuple[Pattern, ...] = ()


NOBODY = Asker()
