"""
Interns equal parts of cached objects and drops large annotations, so that a cached pod stays under 4 KiB.

The pods of one controller differ in little: their containers, labels and owners are equal, and the texts of their
conditions are the same in the whole cluster. A freshly decoded object is made to share these before anyone sees it;
its value does not change, but for annotations: what is read to be written back comes from the API, and not from here.
"""

from collections.abc import Mapping

from msgspec.structs import force_setattr

from kubeobjects.metadata import REVISION, Metadata, Object, PartialObject
from kubeobjects.owners import GITOPS, RELEASE
from kubeobjects.pods import Pod
from kubeobjects.predicates import controller_of
from kubeobjects.workloads import DaemonSet, Deployment, ReplicaSet, StatefulSet

PAUSED = "kintsugi.dev/paused"
"""Annotation of a namespace that pauses all rules in it; its value is the reason."""

# Far more than a cluster has at one time; what outlives its controllers is dropped by starting over.
_MOST_PATTERNS = 4_000
_MOST_TEXTS = 50_000

_READ = frozenset({PAUSED, REVISION, RELEASE, *GITOPS})
"""The annotations of cached objects that are decided on: they are cut and never dropped. Rules may read the others, too."""

_LONGEST = 1024
"""Characters of one annotation with its key."""

_MOST = 4096
"""Characters of the annotations of one object beside those that are decided on."""


class Interner:
    """
    The common parts of the objects of one kind.

    Only what weighs most is shared: this runs for every event of the watch.
    """

    def __init__(self) -> None:
        self._patterns: dict[str, Object] = {}
        self._texts: dict[str, str] = {}

    def share(self, new: Object, known: Object | None = None) -> None:
        """
        Let a freshly decoded object use what it has in common with its last state, `known`, or else with the first object
        of its controller.
        """
        if len(self._texts) >= _MOST_TEXTS:
            self._texts.clear()
        namespace = new.metadata.namespace
        force_setattr(new.metadata, "namespace", self._texts.setdefault(namespace, namespace))
        pattern = known if known is not None else self._pattern(new)
        if "annotations" in _take_equal(new.metadata, pattern.metadata, ("labels", "annotations", "owner_references")):
            _drop_large_annotations(new.metadata)
        if isinstance(new, Pod) and isinstance(pattern, Pod):
            self._share_pod(new, pattern)
        elif isinstance(new, Deployment | ReplicaSet | StatefulSet | DaemonSet):
            _drop_large_annotations(new.spec.template.metadata)

    def _pattern(self, new: Object) -> Object:
        controller = controller_of(new)
        if controller is None:
            return new
        if len(self._patterns) >= _MOST_PATTERNS:
            self._patterns.clear()
        return self._patterns.setdefault(controller.uid, new)

    def _share_pod(self, pod: Pod, pattern: Pod) -> None:
        if pod.spec is not pattern.spec:
            _take_equal(pod.spec, pattern.spec, ("containers", "init_containers"))
        changed = _take_equal(pod.status, pattern.status, ("conditions", "container_statuses"))
        text = self._texts.setdefault
        if "conditions" in changed:
            for condition in pod.status.conditions:
                force_setattr(condition, "type", text(condition.type, condition.type))
        if "container_statuses" in changed:
            for status in pod.status.container_statuses:
                force_setattr(status, "name", text(status.name, status.name))
                force_setattr(status, "image", text(status.image, status.image))


def _drop_large_annotations(metadata: Metadata) -> None:
    found = metadata.annotations
    if not found or _size(found) <= _LONGEST:
        return
    kept = {key: value for key, value in found.items() if len(key) + len(value) <= _LONGEST}
    if _size(kept) > _MOST:
        kept.clear()
    kept |= {key: found[key][:_LONGEST] for key in _READ & found.keys()}
    force_setattr(metadata, "annotations", kept)


def _size(annotations: Mapping[str, str]) -> int:
    return sum(map(len, annotations)) + sum(map(len, annotations.values()))


def _take_equal(part: PartialObject, pattern: PartialObject, names: tuple[str, ...]) -> list[str]:
    """Let a part use these values of another where they are equal; return the names of the values that it has of its own."""
    own = []
    for name in names:
        mine, known = getattr(part, name), getattr(pattern, name)
        if mine is known or mine != known:
            own.append(name)
        else:
            force_setattr(part, name, known)
    return own
