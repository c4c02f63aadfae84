"""
The pages of the console: sign in with an operator's token, read an incident, and answer.

They need no script. Everything that a page shows of the cluster is escaped, bounded, and without secrets.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qsl, quote

import jinja2
from aiohttp import hdrs, web
from markupsafe import Markup

from kintsugi.console.sessions import LASTS, ConsoleSession, ConsoleSessions
from kintsugi.console.words import Words, words_for
from kintsugi.decisions.answers import outcome, whom
from kintsugi.decisions.incident_summary import summarize, undo_lines
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.errors import KintsugiError, UsageError
from kintsugi.model.api_types import Answerer, AnswerRequest, IncidentDetail, TakeResult
from kintsugi.model.questions import POSSIBLE, Answer, AnswerSource, Question
from kintsugi.model.records import ENDED_WELL, Incident, IncidentState
from kintsugi.server.answers import status_of
from kintsugi.server.authentication import IDENTITY, ApiRole, Principal
from kintsugi.server.bodies import BodyError, BodyReader
from kintsugi.telemetry import SECRETS, get_logger
from kubeobjects.lines import line

log = get_logger(__name__)

INCIDENTS = "/incidents"
_LISTED = 50
_LONGEST_LINE = 2000
_MAX_FORM = 16 * 1024
_LONGEST_REASON = 500
_TAKEN_WITHIN, _LOOKS_EVERY = timedelta(seconds=3), timedelta(milliseconds=100)
"""How long, and how often, the answer to a form waits for what it begins: it is there after milliseconds, if nothing holds it up."""

_NEXT = re.compile(r"/incidents(/[a-z0-9-]{1,100})?", re.ASCII)
"""The pages to which a sign-in leads: no other site, and nothing that acts."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ConsoleOperations(Protocol):
    """What the pages show and do; `OperatorService` implements it."""

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]: ...

    async def incident(self, incident: str, *, signals: int, skip: int = 0) -> IncidentDetail: ...

    async def answer(self, incident: str, request: AnswerRequest, answerer: Answerer) -> Question: ...

    async def take(self, incident: str, *, who: str, why: str) -> TakeResult: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Visit:
    """A request of an operator; `form` are the fields of a form, {} for a page that is only read."""

    request: web.Request
    session: ConsoleSession
    words: Words
    form: Mapping[str, str]

    @property
    def incident(self) -> str:
        """Return the incident of the page."""
        return self.request.match_info["id"]


_Show = Callable[[_Visit], Awaitable[web.Response]]


class Console:
    """The pages; with `is_secure` the browser sends the cookie of a session over TLS only."""

    def __init__(
        self,
        operations: ConsoleOperations,
        sessions: ConsoleSessions,
        *,
        clock: Callable[[], datetime],
        is_secure: bool,
        cluster_name: str = "",
    ) -> None:
        self._operations, self._sessions, self._clock, self._is_secure = operations, sessions, clock, is_secure
        # A cookie of this prefix is taken by no other host or path, and never in the clear (RFC 6265bis, 4.1.3.2).
        self._cookie = "__Host-kintsugi" if is_secure else "kintsugi"
        self._bodies = BodyReader(largest=_MAX_FORM, memory=64 * _MAX_FORM, timeout=10)
        loader = jinja2.PackageLoader("kintsugi.console")
        self._templates = jinja2.Environment(
            loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, finalize=_shown, trim_blocks=True
        )
        self._templates.globals["cluster_name"] = cluster_name
        self._style = str(loader.get_source(self._templates, "console.css")[0])

    def routes(self) -> Sequence[web.RouteDef]:
        """List the routes of all pages."""
        return (
            web.get("/console.css", self._show_style),
            web.get("/login", self._show_login, allow_head=False),
            web.post("/login", self._sign_in),
            web.post("/logout", self._for_operators(self._sign_out)),
            web.get("/", self._for_operators(self._lead_to_incidents), allow_head=False),
            web.get(INCIDENTS, self._for_operators(self._list), allow_head=False),
            web.get(INCIDENTS + "/{id}", self._for_operators(self._show_incident), allow_head=False),
            web.post(INCIDENTS + "/{id}/answer", self._for_operators(self._answer)),
            web.post(INCIDENTS + "/{id}/take", self._for_operators(self._take)),
        )

    def _for_operators(self, show: _Show) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Have a page shown to operators only; a form must be of their own session. Our errors become pages."""

        async def handle(request: web.Request) -> web.Response:
            words = words_for(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
            session = self._sessions.of(request.cookies.get(self._cookie, ""))
            if session is None:
                return _to(f"/login?next={quote(request.path)}")
            request[IDENTITY] = Principal(role=ApiRole.OPERATOR, name=session.name)
            try:
                form = await self._form(request) if request.method == "POST" else {}
                if request.method == "POST" and not session.has_form_key(form.get("form_key", "")):
                    raise UsageError("the form is not of this session: load the page again")
                return await show(_Visit(request=request, session=session, words=words, form=form))
            except KintsugiError as error:
                status = error.status if isinstance(error, BodyError) else status_of(error)
                log.warning("page refused", path=request.path, status=status, who=session.name, error=str(error))
                back = request.path.rpartition("/")[0] if request.method == "POST" else INCIDENTS
                return self._page("refused", words, session, status=status, error=str(error), back=back)

        return handle

    async def _form(self, request: web.Request) -> Mapping[str, str]:
        """Read a form that a page of this host has sent. Raises UsageError, BodyError."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise UsageError("the form was sent by another site")
        with await self._bodies.read(request) as body:
            try:
                return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20))
            except ValueError as error:
                raise UsageError(f"the body is no form: {error}") from error

    def _page(
        self, template: str, words: Words, session: ConsoleSession | None, *, status: int = 200, **values: object
    ) -> web.Response:
        html = self._templates.get_template(f"{template}.html").render(words=words, session=session, **values)
        headers = {**_HEADERS, hdrs.CONTENT_LANGUAGE: words.language}
        return web.Response(text=html, content_type="text/html", status=status, headers=headers)

    async def _show_style(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._style, content_type="text/css", headers={"X-Content-Type-Options": "nosniff"})

    async def _show_login(self, request: web.Request) -> web.Response:
        words = words_for(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        return self._page("login", words, None, problem="", next=_next(request.query.get("next", "")))

    async def _sign_in(self, request: web.Request) -> web.Response:
        """Begin a session, and lead to the page that was asked for."""
        words = words_for(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        try:
            form = await self._form(request)
        except (BodyError, UsageError) as error:
            return self._page("login", words, None, status=400, problem=str(error), next=INCIDENTS)
        then, cookie = _next(form.get("next", "")), self._sessions.begin(form.get("token", "").strip())
        if cookie is None:
            log.warning("sign-in refused", peer=request.remote)
            return self._page("login", words, None, status=401, problem=words.sign_in_failed, next=then)
        response = _to(then)
        seconds = int(LASTS.total_seconds())
        # Lax, not Strict: the link in a message must find the session.
        response.set_cookie(
            self._cookie, cookie, max_age=seconds, secure=self._is_secure, httponly=True, samesite="Lax"
        )
        return response

    async def _sign_out(self, visit: _Visit) -> web.Response:
        self._sessions.end(visit.request.cookies.get(self._cookie, ""))
        response = _to("/login")
        response.del_cookie(self._cookie, secure=self._is_secure, httponly=True, samesite="Lax")
        return response

    async def _lead_to_incidents(self, _visit: _Visit) -> web.Response:
        return _to(INCIDENTS)

    async def _list(self, visit: _Visit) -> web.Response:
        found = await self._operations.incidents(limit=_LISTED, service="", open_only=False)
        return self._page("incidents", visit.words, visit.session, incidents=found)

    async def _show_incident(self, visit: _Visit) -> web.Response:
        detail = await self._operations.incident(visit.incident, signals=0)
        summary = summarize(detail, now=self._clock())
        asked = summary.question
        answers = POSSIBLE[asked.kind] if asked is not None else ()
        return self._page(
            "incident",
            visit.words,
            visit.session,
            summary=summary,
            incident=summary.incident,
            is_past=summary.incident.state in ENDED_WELL,
            undo=tuple(undo_lines(detail)),
            taken=detail.taken,
            answered=[outcome(each) for each in detail.questions if each.answer is not None],
            asked=asked,
            text=_question_lines(asked) if asked is not None else (),
            answers=answers,
            needing=", ".join(visit.words.answers[each] for each in answers if each.needs_reason),
            asked_people=whom(asked.approvers) if asked is not None else "",
            so_far=outcome(asked) if asked is not None else "",
        )

    async def _answer(self, visit: _Visit) -> web.Response:
        form, why = visit.form, " ".join(visit.form.get("why", "").split())[:_LONGEST_REASON]
        answer = next((each for each in Answer if each == form.get("answer")), None)
        if answer is None or not form.get("plan"):
            raise UsageError("the form has no answer, or not the digest of what was shown")
        if answer.needs_reason and not why:
            raise UsageError(f"the answer {answer} needs a reason: write it into the form")
        request = AnswerRequest(path=form.get("path", ""), plan=form["plan"], answer=answer, why=why)
        answerer = Answerer(name=visit.session.name, source=AnswerSource.CONSOLE)
        await self._operations.answer(visit.incident, request, answerer)
        await self._until_taken(visit.incident)
        return _to(f"{INCIDENTS}/{visit.incident}")

    async def _until_taken(self, incident: str) -> None:
        """Wait a moment for what an answer begins or ends, so that the next page shows it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAKEN_WITHIN.total_seconds()):
                while True:
                    found = await self._operations.incident(incident, signals=0)
                    waits = found.incident.state is IncidentState.AWAITING_APPROVAL
                    if not waits or open_questions(found.questions):
                        return
                    await asyncio.sleep(_LOOKS_EVERY.total_seconds())

    async def _take(self, visit: _Visit) -> web.Response:
        why = " ".join(visit.form.get("why", "").split())[:_LONGEST_REASON]
        await self._operations.take(visit.incident, who=visit.session.name, why=why)
        return _to(f"{INCIDENTS}/{visit.incident}")


def _question_lines(asked: Question) -> Sequence[str]:
    """Return the question, then its command and what an answer would do."""
    text = [*asked.text.split("\n"), *([f"$ {asked.command}"] if asked.command else [])]
    return [*text, *(each for each in asked.preview.split("\n") if each and each not in text)]


def _shown(value: object) -> object:
    """Return a value as a page shows it: no secret, no control character, bounded."""
    return value if isinstance(value, Markup) else line(SECRETS.text(str(value)), _LONGEST_LINE)


def _next(path: str) -> str:
    """Return where a sign-in leads to."""
    return path if _NEXT.fullmatch(path) else INCIDENTS


def _to(path: str) -> web.Response:
    """Lead the browser to another page, which it reads by GET."""
    return web.Response(status=303, headers={hdrs.LOCATION: path, "Cache-Control": "no-store"})
