"""
Makes the message that a channel of Slack has of an incident, in Block Kit.

Pure. Each foreign word stands in a text element of `rich_text`, in which Slack reads no markup, no link and no mention
(https://docs.slack.dev/reference/block-kit/blocks/rich-text-block). The fallback text is escaped
(https://docs.slack.dev/messaging/formatting-message-text#escaping).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from kintsugi.decisions.answers import outcome, whom
from kintsugi.decisions.incident_summary import IncidentSummary
from kintsugi.model.questions import POSSIBLE, Answer, Question, QuestionKind
from kintsugi.model.records import ENDED_WELL, Incident
from kintsugi.telemetry import SECRETS
from kubeobjects.lines import LONGEST, line

Block = Mapping[str, object]

MOST_COMMANDS = 10
"""Commands that a message shows of the changes, and of what is asked."""

MOST_QUESTION_LINES = 40
LONGEST_LINE = 300
LONGEST_FALLBACK = 1_000

WHY, TAKE = "why", "take"
"""The ids of the input for the reason of an answer, and of the button with which a person takes the incident."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the buttons of a message are about: an incident, and the question of a step about the plan that was shown."""

    incident: str
    path: str
    plan: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Button:
    text: str
    style: str = ""


BUTTONS: Mapping[Answer, _Button] = {
    Answer.YES: _Button(text="Approve", style="primary"),
    Answer.NO: _Button(text="Reject", style="danger"),
    Answer.DONE: _Button(text="Done", style="primary"),
    Answer.DOES_NOT_APPLY: _Button(text="Does not apply"),
    Answer.FAILED: _Button(text="Failed", style="danger"),
}
"""The buttons of a question: the id of the action of each is the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackMessage:
    """The content of a message: `text` is what a notification shows of it."""

    text: str
    blocks: tuple[Block, ...]

    @property
    def digest(self) -> str:
        """Identify the content."""
        return hashlib.sha256(orjson.dumps([self.text, self.blocks])).hexdigest()[:16]


def message_of(summary: IncidentSummary, *, buttons: bool, link: str = "") -> SlackMessage:
    """Return the message of an incident, with the `link` to it. With `buttons` an open question can be answered in it."""
    incident, asked = summary.incident, summary.question
    head = f"{summary.name}: {incident.state}"
    said = [
        *_labelled("Past cause" if incident.state in ENDED_WELL else "Cause", summary.cause),
        *_labelled("Changed before", summary.changed_before),
        *_labelled("Also affected", ", ".join(summary.affected)),
        *_labelled("Outcome", incident.reason),
        *summary.deadlines,
    ]
    blocks: list[Block] = [_rich(_section((head, True), *((f"\n{each}", False) for each in _lines(said))))]
    if summary.changes:
        blocks.append(_rich(_section(("Changes", True)), _preformatted(_commands(summary.changes))))
    if summary.undone:
        blocks.append(_rich(_section(("Undone", True)), _preformatted(_commands(summary.undone))))
    if asked is not None:
        blocks += _question(asked, buttons=buttons)
    if buttons and not incident.state.is_final:
        blocks.append({"type": "actions", "block_id": TAKE, "elements": [_take_button(incident)]})
    blocks.append(_rich(*_next(summary), *([_link(link)] if link else [])))
    return SlackMessage(text=escaped("; ".join([head, *_lines(said[:1])])), blocks=tuple(blocks))


def plain_message(text: str) -> SlackMessage:
    """Return a message about no incident."""
    first, *rest = _lines(text.split("\n"))
    section = _section((first, True), *((f"\n{each}", False) for each in rest[:MOST_QUESTION_LINES]))
    return SlackMessage(text=escaped(first), blocks=(_rich(section),))


def escaped(text: str) -> str:
    """Return a text in which Slack reads no link and no mention, bounded."""
    shown = line(SECRETS.text(text), LONGEST_FALLBACK)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _next(summary: IncidentSummary) -> Iterable[Block]:
    """Yield what a person does next, where to look, and how Kintsugi is stopped."""
    yield _section(("Next", True), *((f": {each}", False) for each in _lines([summary.step] if summary.step else [])))
    if summary.next:
        yield _preformatted(summary.next)
    for title, commands in (
        ("Where to look", summary.probes),
        (f"Stop Kintsugi on {summary.incident.service}", [summary.stop] if summary.stop else []),
    ):
        if commands:
            yield from (_section((title, True)), _preformatted(commands))


def _question(asked: Question, *, buttons: bool) -> Iterable[Block]:
    parts = (asked.text, f"$ {asked.command}" if asked.command else "", asked.preview)
    texts = [each for part in parts if part for each in part.split("\n")]
    shown, more = _lines(texts[:MOST_QUESTION_LINES]), len(texts) - MOST_QUESTION_LINES
    is_whole = more <= 0 and all(len(each) <= LONGEST_LINE for each in _lines(texts, LONGEST))
    if more > 0:
        shown.append(f"… and {more} more lines: kintsugi incident {asked.incident} --all")
    until = f" is asked until {asked.expires:%H:%M:%S} UTC. Plan {asked.plan}"
    yield _rich(
        _section((f"Question{f' of {asked.path}' if asked.path else ''}", True), (until, False)), _preformatted(shown)
    )
    said = [*_labelled("Asked", whom(asked.approvers)), *_labelled("So far", outcome(asked))]
    if not is_whole:
        how = "answered" if asked.kind is QuestionKind.MANUAL else "approved"
        said.append(f"The question is too long for a message, and is {how} only on the command line.")
    if said:
        yield _rich(_section((" ".join(_lines(said)), False)))
    offered = [each for each in POSSIBLE[asked.kind] if is_whole or each is Answer.NO]
    if buttons and offered:  # Slack refuses a row without a button
        yield from _buttons(asked, offered)


def _buttons(asked: Question, offered: Sequence[Answer]) -> Iterable[Block]:
    about = Asked(incident=asked.incident, path=asked.path, plan=asked.plan)
    # Another question has other inputs: nothing that was typed for one goes to the next.
    of_question = f"{asked.asked:%Y%m%d%H%M%S%f}"
    yield {
        "type": "input",
        "block_id": f"{WHY}-{of_question}",
        "optional": True,
        "label": _plain(f"Reason ({', '.join(each for each in offered if each.needs_reason)}: required)"),
        "element": {"type": "plain_text_input", "action_id": WHY, "max_length": 500},
    }
    yield {
        "type": "actions",
        "block_id": f"answers-{of_question}",
        "elements": [_button(each.value, BUTTONS[each], about) for each in offered],
    }


def _button(action: str, shown: _Button, about: Asked) -> Block:
    styled = {"style": shown.style} if shown.style else {}
    value = msgspec.json.encode(about).decode()
    return {"type": "button", "action_id": action, "text": _plain(shown.text), "value": value, **styled}


def _take_button(incident: Incident) -> Block:
    """Return the button with which a person takes an incident; Slack asks them once more."""
    button = _button(TAKE, _Button(text="Take over"), Asked(incident=incident.id, path="", plan=""))
    text = f"No run starts on {incident.service} until you give it back: kintsugi resume {incident.id}"
    asks = {
        "title": _plain("Take over?"),
        "text": _plain(text),
        "confirm": _plain("Take over"),
        "deny": _plain("Cancel"),
    }
    return {**button, "confirm": asks}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def _labelled(label: str, text: str) -> Sequence[str]:
    return [f"{label}: {text}"] if text else []


def _lines(texts: Iterable[str], longest: int = LONGEST_LINE) -> list[str]:
    return [line(SECRETS.text(text), longest) for text in texts]


def _commands(texts: Sequence[str]) -> Sequence[str]:
    more = len(texts) - MOST_COMMANDS
    return [*texts[:MOST_COMMANDS], *([f"… and {more} more"] if more > 0 else [])]


def _rich(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": elements}


def _section(*texts: tuple[str, bool]) -> Block:
    """Write texts, each bold or not."""
    return {
        "type": "rich_text_section",
        "elements": [
            {"type": "text", "text": text, **({"style": {"bold": True}} if bold else {})} for text, bold in texts
        ],
    }


def _link(url: str) -> Block:
    return {"type": "rich_text_section", "elements": [{"type": "link", "url": url, "text": "Open the incident"}]}


def _preformatted(texts: Iterable[str]) -> Block:
    return {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "\n".join(_lines(texts))}]}
