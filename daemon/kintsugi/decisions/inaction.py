"""
Why nothing is done for a service that is not well and has no incident.

Pure: its rules, and which of their conditions hold, come in.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from kintsugi.model.rules import Rule


def why_nothing_acts(rules: Collection[Rule], holding: Mapping[str, datetime], firing: Collection[str]) -> str:
    """
    Return why no rule acts on a service that is not well.

    `holding` is since when the conditions of rules hold that are not told yet, `firing` names the rules of which a signal holds.
    """
    if not rules:
        return "nothing watches this: no rule is about it"
    if told := sorted(rule.name for rule in rules if rule.name in firing):
        return f"seen by {', '.join(told)}: what became of it is in `kintsugi signals`"
    waiting = [(holding[rule.name] + rule.for_duration, rule) for rule in rules if rule.name in holding]
    if waiting:
        due, rule = min(waiting, key=lambda each: (each[0], each[1].name))
        return f"rule {rule.name} acts at {due:%H:%M:%S} if it is so until then"
    names = sorted(rule.name for rule in rules)
    return f"nothing watches this: none of its rules holds ({', '.join(names)})"
