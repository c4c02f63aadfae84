"""
The reason for which no rule acts on a service that is not well and has no incident.

Pure: the inputs are its rules, and those of their conditions that hold.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from kintsugi.model.rules import Mode, Rule

_WILL = {Mode.OBSERVE: "reports", Mode.APPROVE: "asks a person", Mode.AUTO: "acts"}


def inaction_reason(
    rules: Collection[Rule],
    holding: Mapping[str, datetime],
    verdicts: Mapping[str, str],
    paused: Collection[str] = (),
    *,
    mode: Mode = Mode.AUTO,
) -> str:
    """
    Return why no rule acts on a service that is not well.

    `holding` maps rules to the time since which their condition holds without a signal yet, `verdicts` those of which a signal holds
    to the text of its verdict, "" where none is known; `paused` names those that a pause of the rule alone covers. `mode` is the
    daemon's.
    """
    if not rules:
        return "no rule watches this service"
    if all(rule.name in paused for rule in rules):
        return f"each rule of this service is paused ({', '.join(sorted(rule.name for rule in rules))})"
    rules = [rule for rule in rules if rule.name not in paused]
    if firing := sorted(rule.name for rule in rules if rule.name in verdicts):
        judged = next((name for name in firing if verdicts[name]), "")
        outcome = f"rule {judged}: {verdicts[judged]}" if judged else "the outcome is in `kintsugi signals`"
        return f"seen by {', '.join(firing)}; {outcome}"
    waiting = [(holding[rule.name] + rule.for_duration, rule) for rule in rules if rule.name in holding]
    if waiting:
        due, rule = min(waiting, key=lambda each: (each[0], each[1].name))
        will = _WILL[rule.mode.at_most(mode)]
        return f"rule {rule.name} {will} at {due:%H:%M:%S} if the condition lasts until then"
    names = sorted(rule.name for rule in rules)
    return f"no rule of this service matches now ({', '.join(names)})"
