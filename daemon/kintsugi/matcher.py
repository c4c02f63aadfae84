"""
Which rules does an observation concern, and does its condition hold?

Pure. Rules are indexed by source, namespace and one required label, so that the cost of an event does not grow with the
number of rules that cannot concern it (DESIGN 9).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from kintsugi.errors import EvaluationError
from kintsugi.model.documents import Catalog, LabelMatcher, MatchOperator, Rule, RuleSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Why a rule does not match: the first condition that differed, what it wanted and what there was."""

    condition: str
    wanted: str
    had: str


class Matcher:
    """The rules of one catalog, indexed."""

    def __init__(self, catalog: Catalog) -> None:
        self._services = catalog.services
        self._rules = tuple(catalog.rules.values())
        self._by_source: dict[RuleSource, list[Rule]] = defaultdict(list)
        self._by_namespace: dict[tuple[RuleSource, str], list[Rule]] = defaultdict(list)
        for rule in self._rules:
            self._by_source[rule.on].append(rule)
            if rule.service:
                self._by_namespace[rule.on, self._services[rule.service].namespace].append(rule)

    def rules(self, source: RuleSource) -> tuple[Rule, ...]:
        """List the rules on one source."""
        return tuple(self._by_source.get(source, ()))

    def rules_for_pod(self, namespace: str, labels: Mapping[str, str]) -> tuple[Rule, ...]:
        """List the rules that a pod with these labels may concern."""
        candidates = self._by_namespace.get((RuleSource.POD, namespace), ())
        return tuple(rule for rule in candidates if self._services[rule.service].selector.matches(labels))

    def rules_in(self, source: RuleSource, namespace: str) -> tuple[Rule, ...]:
        """List the rules of one source whose service lives in a namespace."""
        return tuple(self._by_namespace.get((source, namespace), ()))

    def rules_for_alert(self, labels: Mapping[str, str]) -> tuple[Rule, ...]:
        """List the alert rules whose matchers all hold, by the priority of their services."""
        matched = [rule for rule in self._by_source.get(RuleSource.ALERT, ()) if difference(rule.match, labels) is None]
        return tuple(sorted(matched, key=self._priority))

    def _priority(self, rule: Rule) -> int:
        return self._services[rule.service].priority if rule.service else 0


def difference(matchers: Iterable[LabelMatcher], labels: Mapping[str, str]) -> Difference | None:
    """Give the first matcher that does not hold, or None when all do. An absent label is the empty string."""
    for matcher in matchers:
        had = labels.get(matcher.label, "")
        if not holds(matcher, had):
            wanted = f"{matcher.operator}{matcher.value!r}"
            return Difference(condition=f"label {matcher.label}", wanted=wanted, had=repr(had))
    return None


def holds(matcher: LabelMatcher, value: str) -> bool:
    """Compare one label's value in Alertmanager's way: regular expressions are anchored at both ends."""
    match matcher.operator:
        case MatchOperator.EQUAL:
            return value == matcher.value
        case MatchOperator.NOT_EQUAL:
            return value != matcher.value
        case MatchOperator.MATCH:
            return anchored(matcher.value).fullmatch(value) is not None
        case MatchOperator.NOT_MATCH:
            return anchored(matcher.value).fullmatch(value) is None


@lru_cache(maxsize=4096)
def anchored(pattern: str) -> re.Pattern[str]:
    """Compile a matcher's regular expression once. The catalog has checked that it compiles."""
    return re.compile(pattern)


def condition_holds(rule: Rule, names: Mapping[str, object]) -> bool | None:
    """Evaluate a rule's `when` on what is known; None when it has no answer, which is never a reason to act (P6)."""
    if rule.when is None:
        return True
    try:
        return rule.when.evaluate(names) is True
    except EvaluationError:
        return None
