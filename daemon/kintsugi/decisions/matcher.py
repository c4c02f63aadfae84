"""
Finds the rules that an observation concerns, and evaluates their conditions.

Pure. Rules are indexed by source, namespace and one required label, so that the cost of an event does not grow with the
number of rules that cannot concern it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic, TypeVar

from kintsugi.errors import EvaluationError
from kintsugi.mask import MASK
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import LabelMatcher, MatchOperator, Rule, RuleSource, is_canary, quoted
from kintsugi.model.services import Service
from kintsugi.regex import compiled
from kubeobjects.selectors import Operator, Selector

T = TypeVar("T")

Wanted = tuple[str, frozenset[str]]
"""A label, and the values of which it must have one."""

_MOST_REMEMBERED = 20_000
"""Labels whose answer is remembered: the cached pods of one controller mostly share theirs."""

_LITERALS = re.compile(r"[\w -]+(\|[\w -]+)*")
"""Regular expressions that only list values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The first condition of a rule that does not match, with the wanted and the actual value."""

    condition: str
    wanted: str
    had: str


class LabelIndex(Generic[T]):
    """
    Items by one label that each of them wants: the one that distinguishes most of them.

    A rule without such a label is always found: the caller compares the rest.
    """

    def __init__(self, items: Sequence[tuple[T, Sequence[Wanted]]]) -> None:
        self._always: list[tuple[int, T]] = []
        self._by_label: dict[tuple[str, str], list[tuple[int, T]]] = defaultdict(list)
        common = Counter((label, value) for _, wants in items for label, values in wants for value in values)
        for place, (item, wants) in enumerate(items):
            if not wants:
                self._always.append((place, item))
                continue
            label, values = min(wants, key=lambda want: max((common[want[0], value] for value in want[1]), default=0))
            for value in values:
                self._by_label[label, value].append((place, item))

    def find(self, labels: Mapping[str, str]) -> Iterable[T]:
        """List the items that these labels may satisfy, in the order in which they were given."""
        found = [*self._always]
        for label in labels.items():
            found += self._by_label.get(label, ())
        return (item for _, item in sorted(found, key=itemgetter(0)))


class ServiceIndex:
    """The services of one catalog, found by what they select."""

    def __init__(self, services: Iterable[Service]) -> None:
        namespaces: dict[str, list[tuple[Service, Sequence[Wanted]]]] = defaultdict(list)
        for service in services:
            namespaces[service.namespace].append((service, _wanted_by_selector(service.selector)))
        self._names = {name: frozenset(each.name for each, _ in items) for name, items in namespaces.items()}
        self._indexes = {name: LabelIndex(items) for name, items in namespaces.items()}
        self._answers: dict[tuple[str, int], tuple[Mapping[str, str], tuple[Service, ...]]] = {}

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> tuple[Service, ...]:
        """
        List the services whose selector takes in a pod with these labels, in the catalog's order.

        The answer is remembered by the identity of the labels, which must not change.
        """
        key = (namespace, id(labels))
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) >= _MOST_REMEMBERED:
                self._answers.clear()
            # with the labels, so that no others get their identity
            known = self._answers[key] = (labels, tuple(self._compare(namespace, labels)))
        return known[1]

    def _compare(self, namespace: str, labels: Mapping[str, str]) -> Iterable[Service]:
        index = self._indexes.get(namespace)
        found = index.find(labels) if index is not None else ()
        return (service for service in found if service.selector.matches(labels))

    def names_in(self, namespace: str) -> frozenset[str]:
        """Name the services of a namespace."""
        return self._names.get(namespace, frozenset())


class Matcher:
    """The rules of one catalog, indexed."""

    def __init__(self, catalog: Catalog) -> None:
        self._services = catalog.services
        self._by_source: dict[RuleSource, list[Rule]] = defaultdict(list)
        self._on_pods: dict[str, list[Rule]] = defaultdict(list)
        self._places = {name: place for place, name in enumerate(catalog.rules)}
        for rule in catalog.rules.values():
            self._by_source[rule.on].append(rule)
            if rule.on is RuleSource.POD:
                self._on_pods[rule.service].append(rule)
        self._alerts = LabelIndex(
            [(rule, _wanted_by_match(rule.matchers)) for rule in self._by_source[RuleSource.ALERT]]
        )

    def rules(self, source: RuleSource) -> tuple[Rule, ...]:
        """List the rules on one source."""
        return tuple(self._by_source.get(source, ()))

    def rules_on_pods(self, services: Sequence[Service]) -> Sequence[Rule]:
        """List the rules on pods of the services that select one."""
        if len(services) == 1:
            return self._on_pods.get(services[0].name, ())
        found = [rule for service in services for rule in self._on_pods.get(service.name, ())]
        return sorted(found, key=lambda rule: self._places[rule.name])

    def rules_for_alert(self, labels: Mapping[str, str]) -> tuple[Rule, ...]:
        """List the alert rules whose matchers all hold, by the priority of their services; none for a canary."""
        if is_canary(labels):
            return ()
        matched = [rule for rule in self._alerts.find(labels) if difference(rule.matchers, labels) is None]
        return tuple(sorted(matched, key=self._priority))

    def _priority(self, rule: Rule) -> int:
        return self._services[rule.service].priority if rule.service else 0


def _wanted_by_selector(selector: Selector) -> Sequence[Wanted]:
    return [(each.key, each.values) for each in selector.requirements if each.operator is Operator.IN]


def _wanted_by_match(matchers: Iterable[LabelMatcher]) -> Sequence[Wanted]:
    """List what must be there; a matcher that an absent label satisfies, too, wants nothing."""
    return [(each.label, values) for each in matchers if (values := _values_of(each))]


def _values_of(matcher: LabelMatcher) -> frozenset[str]:
    match matcher.operator:
        case MatchOperator.EQUAL if matcher.value:
            return frozenset({matcher.value})
        case MatchOperator.MATCH if _LITERALS.fullmatch(matcher.value):
            return frozenset(matcher.value.split("|"))
        case _:
            return frozenset()


def difference(matchers: Iterable[LabelMatcher], labels: Mapping[str, str]) -> Difference | None:
    """
    Return the first matcher that does not hold, or None when all do. An absent label is the empty string.

    None holds of a label that was masked: its value is not known, whatever the operator (P6).
    """
    for matcher in matchers:
        had = labels.get(matcher.label, "")
        if MASK in had or not holds(matcher, had):
            wanted = f"{matcher.operator}{quoted(matcher.value)}"
            return Difference(condition=f"label {matcher.label}", wanted=wanted, had=quoted(had))
    return None


def holds(matcher: LabelMatcher, value: str) -> bool:
    """Compare one label's value in Alertmanager's way: regular expressions are anchored at both ends."""
    match matcher.operator:
        case MatchOperator.EQUAL:
            return value == matcher.value
        case MatchOperator.NOT_EQUAL:
            return value != matcher.value
        case MatchOperator.MATCH:
            return compiled(matcher.value).matches(value)
        case MatchOperator.NOT_MATCH:
            return not compiled(matcher.value).matches(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionResult:
    """Whether a rule's `when` holds; None, and why, when it has no answer, which is never a reason to act (P6)."""

    holds: bool | None
    problem: str = ""


_HOLDS, _DOES_NOT_HOLD = ConditionResult(holds=True), ConditionResult(holds=False)


def evaluate_condition(rule: Rule, names: Mapping[str, object]) -> ConditionResult:
    """Evaluate a rule's `when` on what is known."""
    if rule.when is None:
        return _HOLDS
    try:
        return _HOLDS if rule.when.evaluate(names) is True else _DOES_NOT_HOLD
    except EvaluationError as error:
        return ConditionResult(holds=None, problem=str(error))
