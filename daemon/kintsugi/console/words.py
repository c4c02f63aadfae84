"""The words of the console in each of its languages. What Kintsugi says of an incident is English in all of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from kintsugi.model.questions import Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of one language; `language` is its tag (BCP 47)."""

    language: str
    sign_in: str
    sign_in_label: str
    sign_in_help: str
    sign_in_failed: str
    sign_out: str
    incidents: str
    no_incidents: str
    service: str
    state: str
    opened: str
    cause: str
    past_cause: str
    changed_before: str
    also_affected: str
    outcome: str
    changes: str
    question: str
    asked_until: str
    asked: str
    so_far: str
    answer: str
    plan: str
    undo: str
    reason: str
    reason_needed: str
    answers: Mapping[Answer, str]
    take: str
    take_help: str
    undone: str
    next: str
    probes: str
    stop: str
    refused: str
    back: str


ENGLISH = Words(
    language="en",
    sign_in="Sign in",
    sign_in_label="Operator token",
    sign_in_help="Your own token, or the whole line NAME:TOKEN of the operators' token file.",
    sign_in_failed="This is not the token of a named operator.",
    sign_out="Sign out",
    incidents="Incidents",
    no_incidents="There is no incident.",
    service="Service",
    state="State",
    opened="Opened (UTC)",
    cause="Cause",
    past_cause="Past cause",
    changed_before="Changed before",
    also_affected="Also affected",
    outcome="Outcome",
    changes="Changes",
    question="Question",
    asked_until="Asked until (UTC)",
    asked="Asked",
    so_far="So far",
    answer="Answer",
    plan="Plan",
    undo="Commands that undo the changes",
    reason="Reason",
    reason_needed="required for: {answers}",
    answers={
        Answer.YES: "Approve",
        Answer.NO: "Reject",
        Answer.DONE: "Done",
        Answer.DOES_NOT_APPLY: "Does not apply",
        Answer.FAILED: "Failed",
    },
    take="Take over",
    take_help="No run starts on the service until you give the incident back: kintsugi resume {incident}",
    undone="Undone",
    next="Next",
    probes="Where to look",
    stop="Stop Kintsugi on this service",
    refused="Nothing was done",
    back="Back",
)

JAPANESE = Words(
    language="ja",
    sign_in="サインイン",
    sign_in_label="オペレーターのトークン",
    sign_in_help="自分のトークン、またはオペレーターのトークンファイルにある自分の行 NAME:TOKEN 全体を入力してください。",
    sign_in_failed="名前のあるオペレーターのトークンではありません。",
    sign_out="サインアウト",
    incidents="インシデント",
    no_incidents="インシデントはありません。",
    service="サービス",
    state="状態",
    opened="発生 (UTC)",
    cause="原因",
    past_cause="過去の原因",
    changed_before="直前の変更",
    also_affected="影響を受けたサービス",
    outcome="結果",
    changes="実行した変更",
    question="質問",
    asked_until="回答期限 (UTC)",
    asked="回答者",
    so_far="これまでの回答",
    answer="回答",
    plan="計画",
    undo="変更を元に戻すコマンド",
    reason="理由",
    reason_needed="次の回答には必須: {answers}",
    answers={
        Answer.YES: "承認",
        Answer.NO: "却下",
        Answer.DONE: "完了",
        Answer.DOES_NOT_APPLY: "該当しない",
        Answer.FAILED: "失敗",
    },
    take="引き受ける",
    take_help="インシデントを返すまで、このサービスでは何も実行されません: kintsugi resume {incident}",
    undone="取り消した変更",
    next="次にすること",
    probes="確認するコマンド",
    stop="このサービスで Kintsugi を止める",
    refused="何も実行されませんでした",
    back="戻る",
)


def words_for(accepted: str) -> Words:
    """Return the words for an `Accept-Language` header (RFC 9110, 12.5.4): Japanese if it is preferred to English."""
    weights = dict[str, float]()
    for each in accepted.split(","):
        tag, _, parameters = each.partition(";")
        language = tag.strip().lower().partition("-")[0]
        weights.setdefault(language, _weight(parameters))
    return JAPANESE if weights.get("ja", 0) > weights.get("en", 0) else ENGLISH


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
