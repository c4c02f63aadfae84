"""Builders of the kubectl commands that change something: every object is named, nothing is changed by the dozen."""

import json
from collections.abc import Callable
from datetime import timedelta

from kintsugi.commands.kinds import LABEL_VALUE
from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.references import kinds_of, named, namespace_for, objects, place_of, single
from kintsugi.commands.row import Bound
from kintsugi.model.command import Cordon, Delete, Mark, ObjectName, Patch, Rollout, Scale, Verb
from kintsugi.objects.resources import NODES

_PATCH_KINDS = ("strategic", "merge", "json")


def build_delete(bound: Bound) -> Delete:
    """Build `kubectl delete`: of objects by name, always with grace."""
    found = objects(bound)
    grace = bound.number("grace")
    if grace is not None and grace < 1:
        raise CommandProblem(
            f"kubectl delete: --grace-period={grace} kills without warning, and a second pod may run beside the first: "
            "leave it out, the pod's own grace period is kept"
        )
    return Delete(
        objects=found,
        namespace=place_of(bound),
        grace=None if grace is None else timedelta(seconds=grace),
    )


def build_scale(bound: Bound) -> Scale:
    """Build `kubectl scale`."""
    replicas = bound.number("replicas")
    assert replicas is not None, "--replicas is required"
    return Scale(objects=objects(bound), namespace=place_of(bound), replicas=replicas, current=bound.number("current"))


def build_rollout(verb: Verb) -> Callable[[Bound], Rollout]:
    """Make the builder of one `kubectl rollout` command; the history of a whole type is a look, too."""

    def build(bound: Bound) -> Rollout:
        whole = _whole_type(bound) if verb is Verb.ROLLOUT_HISTORY else None
        return Rollout(
            verb=verb,
            object=whole or single(bound),
            namespace=place_of(bound),
            revision=bound.number("revision") or 0,
            timeout=bound.duration("timeout"),
        )

    return build


def _whole_type(bound: Bound) -> ObjectName | None:
    """Return the type whose objects are meant, all of them, None where one is named."""
    found = named(bound)
    if len(found.resources) != 1:
        return None
    if bound.number("revision"):
        raise bound.misused("--revision is one workload's: name it")
    return ObjectName(resource=found.resources[0], name="")


def build_cordon(on: bool) -> Callable[[Bound], Cordon]:
    """Make the builder of `kubectl cordon` (on) or `uncordon`."""

    def build(bound: Bound) -> Cordon:
        found = objects(bound)
        assert all(each.resource == NODES for each in found), "the row takes nodes only"
        return Cordon(objects=found, on=on)

    return build


def build_patch(bound: Bound) -> Patch:
    """Build `kubectl patch` of one object; what the patch must be depends on its kind."""
    kind = bound.text("kind") or "strategic"
    if kind not in _PATCH_KINDS:
        raise bound.misused(f"--type={kind} is not known: it is one of {', '.join(_PATCH_KINDS)}")
    patch = bound.text("patch")
    wanted, word = (list, "a list of operations") if kind == "json" else (dict, "an object")
    if not isinstance(content := json.loads(patch), wanted) or not content:
        raise bound.misused(f"a {kind} patch is {word} that is not empty")
    target = single(bound)
    return Patch(object=target, namespace=namespace_for(bound, (target.resource,)), patch=patch, kind=kind)


def build_mark(verb: Verb) -> Callable[[Bound], Mark]:
    """Make the builder of `kubectl label` or `annotate`."""

    def build(bound: Bound) -> Mark:
        marks = [argument.value for argument in bound.arguments if isinstance(argument.value, tuple)]
        found = objects(bound, tuple(argument for argument in bound.arguments if not isinstance(argument.value, tuple)))
        if not marks:
            raise bound.misused("it sets nothing")
        values: dict[str, str | None] = dict(marks)
        if len(values) != len(marks):
            raise bound.misused("a key stands twice")
        if verb is Verb.LABEL:
            _check_labels(values)
        return Mark(
            verb=verb,
            objects=found,
            namespace=namespace_for(bound, kinds_of(found)),
            values=values,
            overwrite=bound.on("overwrite"),
        )

    return build


def _check_labels(values: dict[str, str | None]) -> None:
    for key, value in values.items():
        if value is not None and not LABEL_VALUE.fullmatch(value):
            raise CommandProblem(
                f"kubectl label: {value!r} cannot be the value of the label {key}: at most 63 letters, digits and -_."
            )
