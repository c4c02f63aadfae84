"""Pure decisions about drills: whether and when one may begin, the checks of the scratch database, and the result."""

from kintsugi.decisions.drills.checks import DATABASE, INTEGRITY, RetargetedCommand, turned
from kintsugi.decisions.drills.decision import DrillGuardInput, may_drill
from kintsugi.decisions.drills.report import report_of, summary_of
from kintsugi.decisions.drills.runbook import objections
from kintsugi.decisions.drills.schedule import due, read_schedule

__all__ = [
    "DATABASE",
    "INTEGRITY",
    "DrillGuardInput",
    "RetargetedCommand",
    "due",
    "may_drill",
    "objections",
    "read_schedule",
    "report_of",
    "summary_of",
    "turned",
]
