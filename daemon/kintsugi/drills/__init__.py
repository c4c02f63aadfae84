"""
Drills: whether one may begin and when, what is asked of the scratch database, and what came of it. Pure decisions.
"""

from kintsugi.drills.checks import DATABASE, INTEGRITY, Turned, turned
from kintsugi.drills.decision import DrillQuestion, may_drill
from kintsugi.drills.report import report_of, summary_of
from kintsugi.drills.runbook import objections
from kintsugi.drills.schedule import due, read_schedule

__all__ = [
    "DATABASE",
    "INTEGRITY",
    "DrillQuestion",
    "Turned",
    "due",
    "may_drill",
    "objections",
    "read_schedule",
    "report_of",
    "summary_of",
    "turned",
]
