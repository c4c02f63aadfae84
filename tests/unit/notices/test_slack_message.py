"""The message of an incident in Slack: foreign words stay words, it is bounded, and only an open question has buttons."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from kintsugi.decisions.incident_summary import summarize
from kintsugi.model.api_types import IncidentDetail
from kintsugi.model.questions import Answer, Question, QuestionKind
from kintsugi.model.records import IncidentState
from kintsugi.notices.slack_message import (
    LONGEST_LINE,
    MOST_QUESTION_LINES,
    Asked,
    SlackMessage,
    message_of,
    plain_message,
)
from tests.harness.answers import said
from tests.unit.factories import NOW, approval, incident

HOSTILE = "<!channel> <https://evil.example|here> *bold* @here `x`"


def shown(*questions: Question, reason: str = "", buttons: bool = True) -> SlackMessage:
    about = replace(incident(state=IncidentState.AWAITING_APPROVAL), reason=reason)
    summary = summarize(IncidentDetail(incident=about, questions=questions), now=NOW)
    return message_of(summary, buttons=buttons)


def elements(value: object) -> Iterator[dict[str, object]]:
    """Yield each object of a message."""
    match value:
        case dict():
            yield value
            for inner in value.values():
                yield from elements(inner)
        case list() | tuple():
            for inner in value:
                yield from elements(inner)


def buttons(message: SlackMessage) -> dict[object, dict[str, object]]:
    return {each["action_id"]: each for each in elements(message.blocks) if each.get("type") == "button"}


def texts(message: SlackMessage) -> list[str]:
    return [str(each["text"]) for each in elements(message.blocks) if each.get("type") == "text"]


def test_a_message_links_to_its_incident_where_a_browser_reaches_it() -> None:
    summary = summarize(IncidentDetail(incident=incident()), now=NOW)
    for given in ("https://kintsugi.example.com/incidents/inc-1", ""):
        message = message_of(summary, buttons=False, link=given)
        links = [each["url"] for each in elements(message.blocks) if each.get("type") == "link"]
        assert links == [given] * bool(given)


def test_foreign_words_are_only_in_elements_that_slack_does_not_parse() -> None:
    asked = replace(approval(), text=HOSTILE, preview=f"would {HOSTILE}")
    for message in (shown(asked, reason=HOSTILE), plain_message(HOSTILE)):
        foreign = [each for each in elements(message.blocks) if "evil.example" in str(each.get("text"))]
        assert foreign
        assert all(each["type"] == "text" for each in foreign)
        assert "mrkdwn" not in str(message.blocks)
        assert "<" not in message.text


def test_a_secret_and_a_control_character_are_in_no_message() -> None:
    message = plain_message("a\x1b[31m\u202eb")
    assert "\x1b" not in "".join([message.text, *texts(message)])
    assert "\u202e" not in "".join([message.text, *texts(message)])


def test_a_long_question_is_cut_and_says_which_command_shows_the_rest() -> None:
    long = "\n".join("x" * 2 * LONGEST_LINE for _ in range(2 * MOST_QUESTION_LINES))
    plan = next(each for each in texts(shown(replace(approval(), text=long))) if each.startswith("xx"))
    assert plan.splitlines()[-1] == f"… and {MOST_QUESTION_LINES} more lines: kintsugi incident inc-1 --all"
    assert len(plan) <= (MOST_QUESTION_LINES + 1) * (LONGEST_LINE + 1)


@pytest.mark.parametrize("plan", ["x" * (LONGEST_LINE + 1), "x\n" * MOST_QUESTION_LINES])
def test_a_plan_that_a_message_does_not_show_whole_can_only_be_rejected_in_it(plan: str) -> None:
    message = shown(replace(approval(), text=plan))
    assert {*buttons(message)} == {"no", "take"}
    assert any("approved only on the command line" in each for each in texts(message))
    step = shown(replace(approval(), kind=QuestionKind.MANUAL, text=plan))
    assert {*buttons(step)} == {"take"}
    assert all(each["elements"] for each in step.blocks if each["type"] == "actions")
    assert any("answered only on the command line" in each for each in texts(step))
    whole = shown(replace(approval(), text=plan[:LONGEST_LINE].strip()[: 2 * MOST_QUESTION_LINES - 3]))
    assert {*buttons(whole)} == {"yes", "no", "take"}


def test_only_an_open_question_has_buttons_and_they_carry_the_plan_that_is_shown() -> None:
    asked = replace(approval("four"), plan="p-7")
    offered = buttons(shown(asked))
    assert {*offered} == {"yes", "no", "take"}
    about = {name: msgspec.json.decode(str(each["value"]), type=Asked) for name, each in offered.items()}
    question = Asked(incident=asked.incident, path="four", plan="p-7")
    assert about == {"yes": question, "no": question, "take": Asked(incident=asked.incident, path="", plan="")}
    assert buttons(shown(asked, buttons=False)) == {}
    for answered in (replace(asked, **said(Answer.NO, "maria", NOW)), approval("four", answered=NOW)):
        assert {*buttons(shown(answered))} == {"take"}
    manual = buttons(shown(replace(asked, kind=QuestionKind.MANUAL, command="ssh one")))
    assert {*manual} == {"done", "does-not-apply", "failed", "take"}


def test_a_new_question_has_other_inputs_so_that_nothing_typed_for_one_answers_the_next() -> None:
    def input_of(message: SlackMessage) -> list[object]:
        return [each["block_id"] for each in message.blocks if each["type"] == "input"]

    later = replace(approval(), asked=NOW + timedelta(minutes=1))
    assert input_of(shown(approval())) != input_of(shown(later))


def test_the_digest_is_that_of_what_is_shown() -> None:
    assert shown(approval()).digest == shown(approval()).digest
    assert shown(approval()).digest != shown(approval(), reason="another").digest
