"""
What an adversary, a fault or a wrong clock could do to a daemon that had no more than its good intentions.

For each of them a sabotage brings it back, and tests notice: see `Sabotage.against`. A new one is added here first.
"""

from collections.abc import Mapping
from enum import StrEnum


class Weakness(StrEnum):
    """One thing that would go wrong, the most harmful first."""

    FOREIGN_MARKS = "an alert that looks like the ledger's own marks ends the daemon, at every start again"
    UNREADABLE_RUN = "what a probed service answers makes its run unreadable, and its service locked for good"
    CHANGES_AFTER_A_NO = "neither mode observe nor a freeze stops what is open already"
    NOTHING_ASKED_AGAIN = "nothing is asked between intent and effect, however long that takes"
    REPAIR_UNDONE = "a rollback that was decided undoes what a person has repaired meanwhile"
    SILENT_OUTAGE = "a service is down, nothing repairs it, and nobody is notified"
    UNCARRIED_RUN = "a run whose claim is answered late is carried by nobody"

    EVERLASTING_ANSWER = "an approval that was given is good for ever"
    WEAK_TOKEN = "an empty, a short or a commented token is an operator's, and names of others can be borrowed"
    BACKUP_AS_PROGRAM = "whoever writes into the backups has a superuser's rights on the live server"
    SECRET_WRITTEN_DOWN = "secrets stand in the ledger, in answers and in Events"
    SLOW_EXPRESSION = "a label makes a regular expression hold the event loop"
    LOST_ALERT = "an alert that fires again, or was left out of its group, is lost where nobody polls"
    TWO_DAEMONS = "two daemons lead on one ledger"
    TAKEN_PORT = "whoever reaches the port shuts it for all others, probes included"
    BROKEN_ANSWER = "one broken answer or object ends the whole daemon"
    WRONG_CLOCK = "a clock that is wrong, or jumps, starts recoveries and rollbacks"

    FORGED_FINGERPRINT = "an alert ends or swallows what the watch itself sees"
    MANY_ALERTS = "many alerts on one incident make each change slow"
    ENDLESS_KEEPING = "what is old is kept until the disk is full"
    SHORT_MEMORY = "changes within the budget's window are not counted"
    BROKEN_STREAK = "runs that changed nothing hide that a remedy does not help"
    CHANGE_ELSEWHERE = "pauses, budgets and locks count where the run is, and not where it changes something"
    HELD_LOOP = "what strangers write holds the event loop, and nobody notices"
    UNPROTECTED_NAMESPACE = "a setting takes the cluster's own namespaces, or ours, out of protection"
    ACTING_QUESTION = "a question to a database ends sessions, reads files, or writes"
    WIDE_RIGHTS = "the rights that are granted reach further than is said"
    UNSEEN_ROLLBACK = "a rollback that was confirmed, or a plan that was approved, is another one than was shown"
    HALF_ALIVE = "a part that has failed is missing, and the daemon goes on without it"
    OPEN_PORT = "tokens cross the network in the clear, and what is not well is told to anybody"
    GROWING_QUESTION = "what is asked all the time costs more with all that has ever been"
    LONG_COLLECTION = "garbage collections stop the event loop"

    FORBIDDEN_ADDRESS = "a probe reaches a metadata service by a tunnel, a name server or a redirect"
    NAMELESS_ALERT = "an alert that names no namespace, or no possible object, is taken for each service in turn"
    OLD_ANSWER = "a second rollback goes by the answer to the first question"
    PAUSED_ROLLBACK = "a rollback begins by itself while a pause holds"
    OVERSPENT_BUDGET = "several runs at once spend more than the budget"
    POLLED_STORM = "a storm that is polled is too large to be committed"
    GROWING_MEMORY = "memory grows with all that has ever been"
    BAD_FILE = "a token file that is replaced badly ends a part of the daemon"
    CUT_SECRET = "a secret on the cut of a long value is logged in part"
    FORGED_NOTICE = "a container or an annotation writes lines and commands into a notice"
    UNREAD_NO = "an object that cannot be read hides a pause, or what is never changed"
    BORROWED_LABEL = (
        "whoever may write a label puts a pod or a claim into a service, or an object out of it and not its condition"
    )
    LATE_CACHE = "a cache that is behind refuses an alert for good"
    LOST_COMMIT = "a database that takes over without the last commits is led as if it had them"

    UNNOTICED_CHANGE = "a request that changes something counts as a look"
    RULE_OF_NOBODY = "a rule that names no service never starts anything"
    RETURNING_TROUBLE = "a trouble that comes back after each recovery is remedied for ever"
    SILENT_EXPIRY = "a hold or a question runs out, and nobody is told"
    OPPOSED_RULES = "two rules take each other's changes back for ever"
    SILENT_DOUBT = "nothing is done for hours because what is seen is in doubt, and nobody is told"
    RETURNED_NODE = "a node reports again, and its pods are restarted before it has asked them"
    SMALL_CLUSTER = "with few services the observer is never suspected, whatever speaks against it"
    UNREAD_VERDICT = "what was refused, or could not be understood, can be read by nobody"
    UNEARNED_EVIDENCE = "a test passes although what it is said to show is not so"
    NAMESAKE = "a workload of another kind or namespace is taken for the one of the same name"
    REFUSED_LOOK = "what only looks is refused for the way in which it is written"
    UNHELPFUL_ERROR = "an error does not say which flag would help"

    EMPTIED_SERVICE = "all pods of a service that serves are deleted at once"
    STUCK_RECOVERY = "pods that are down are not restarted because too few are ready"
    CROWDED_NAMESPACE = "all recoveries that are allowed at once go on in one namespace, or wait for one"
    KEPT_SLOT = "what matters more waits for the end of what matters less, or is overtaken by it"
    TORN_STEP = "a run stops in the middle of a step for another one"
    UNTOLD_LIMIT = "nobody sees how much of a limit is left until something is refused"


NO_BEHAVIOUR: Mapping[Weakness, str] = {
    Weakness.WIDE_RIGHTS: "rights are a manifest and no code: tests/unit/project/test_least_rights.py holds it to its words",
}
"""Those that no sabotage can bring back, and why."""
