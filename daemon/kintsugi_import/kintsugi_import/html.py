"""Reads a page of HTML, as a site of documentation serves it, into the elements of a page."""

import re
from html.parser import HTMLParser

from typing_extensions import override

from kintsugi_import.page import AT_END, Code, Element, Heading, MarkdownPage, Marker, Passage

_BEGINNING = re.compile(r"\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_LANGUAGE = re.compile(r"\b(?:language|highlight-source)-([a-z]+)")
_LEFT_OUT = frozenset({"script", "style", "nav", "header", "footer", "aside", "template", "button", "head", "svg"})
_CONTENT = frozenset({"main", "article"})
_BREAKS = frozenset(
    {"p", "div", "section", "li", "ul", "ol", "dt", "dd", "table", "tr", "blockquote", "summary", "details"}
)
_LISTS = {"ul": Marker.BULLET, "ol": Marker.NUMBER}


def is_html(text: str) -> bool:
    """Return whether a text is a whole page of HTML."""
    return _BEGINNING.match(text) is not None


def read_html(text: str) -> MarkdownPage:
    """Read a page of HTML: what stands in its `main` or `article` if it has one, without navigation."""
    reader = _Reader()
    reader.feed(text + AT_END)
    reader.end_passage()
    title = next((each.text for each in reader.found if isinstance(each, Heading)), "")
    return MarkdownPage(title=title, elements=tuple(reader.found))


class _Reader(HTMLParser):
    """Collects the elements in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._texts: list[str] = []
        self._codes: list[Code] = []
        self._code: list[str] | None = None
        self._in_block = False
        self._language = ""
        self._heading = 0
        self._marker = Marker.NONE
        self._lists: list[Marker] = []
        self._left_out = 0
        self._content = 0
        self._had_content = False

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._left_out += tag in _LEFT_OUT
        if tag in _CONTENT:
            self.end_passage()
            if not self._had_content:
                self.found.clear()
            self._content, self._had_content = self._content + 1, True
        if language := _LANGUAGE.search(dict(attrs).get("class") or ""):
            self._language = language[1]
        if tag in ("pre", "code") and self._code is None:
            if tag == "pre":
                self.end_passage()
            self._code, self._in_block = [], tag == "pre"
        elif tag in _BREAKS and self._code is None:
            self.end_passage()
            if tag in _LISTS:
                self._lists.append(_LISTS[tag])
            self._marker = self._lists[-1] if tag == "li" and self._lists else self._marker
        elif tag == "br":
            self.handle_data("\n")
        elif level := re.fullmatch(r"h([1-6])", tag):
            self.end_passage()
            self._heading = int(level[1])

    @override
    def handle_endtag(self, tag: str) -> None:
        self._left_out -= tag in _LEFT_OUT and self._left_out > 0
        if self._code is not None and tag == ("pre" if self._in_block else "code"):
            self._end_code("".join(self._code))
        elif tag in ("td", "th"):
            self.handle_data(" | ")
        elif tag in _BREAKS and self._code is None:
            self.end_passage()
            if tag in _LISTS and self._lists:
                self._lists.pop()
        elif re.fullmatch(r"h[1-6]", tag):
            self.end_passage()
        if tag in _CONTENT and self._content:
            self.end_passage()
            self._content -= 1

    @override
    def handle_data(self, data: str) -> None:
        (self._texts if self._code is None else self._code).append(data)

    def end_passage(self) -> None:
        """Keep what was read since the last element."""
        texts = "".join(self._texts).split("\n") if not self._heading else ["".join(self._texts)]
        text = "\n".join(" ".join(each.split()) for each in texts).strip(" |\n¶#")
        if text and self._is_kept():
            line = self.getpos()[0]
            if self._heading:
                self.found.append(Heading(text=text, level=self._heading, line=line))
            else:
                self.found.append(Passage(text=text, line=line, codes=tuple(self._codes), marker=self._marker))
            self._marker = Marker.NONE
        self._texts, self._codes, self._heading = [], [], 0

    def _end_code(self, text: str) -> None:
        code = Code(text=text.strip("\n"), line=self.getpos()[0], language=self._language, block=self._in_block)
        if not self._in_block:
            self._codes.append(code)
            self._texts.append(" ".join(text.split()))
        elif text.strip() and self._is_kept():
            self.found.append(code)
        self._code, self._language = None, ""

    def _is_kept(self) -> bool:
        return not self._left_out and (self._content > 0 or not self._had_content)
