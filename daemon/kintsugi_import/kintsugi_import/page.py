"""Reads a Markdown page into its headings, passages of text and blocks of code, in order, each with its line."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

from kintsugi_import.words import Label, labelled

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_CHECKBOX = re.compile(r"^\[[ xX]\]\s+")
_BOX = re.compile(r'^( *)(?:(===) "(.+)"|(?:!!!|\?\?\?\+?) [\w -]+?(?: "(.*)")?)\s*$')
"""What begins a tab or a box of MkDocs; its content is indented below: `=== "On AWS"`, `!!! note "Mind"`."""
_TITLE = re.compile(r"^title:\s*(.+)$", re.MULTILINE)


AT_END = "<"
"""
Has an HTMLParser hand over the text that it still holds back. `close` would do so, too, but reads each tag that never ends again
from its next character, in a time that grows with the square.
"""


class Marker(StrEnum):
    """What stands before a passage: nothing, a bullet, or a number."""

    NONE = ""
    BULLET = "-"
    NUMBER = "1."


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """A heading; `level` is 1 for the page's own."""

    text: str
    level: int
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A code: a block with the language that its author named, or a span within a text (`block` False)."""

    text: str
    line: int
    language: str = ""
    block: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """
    A paragraph, a list item's text or a table's row: the plain text, and the codes in it. `aside` is True in a quote or a box.

    A row has what it expects in lines of its own.
    """

    text: str
    line: int
    codes: tuple[Code, ...] = ()
    marker: Marker = Marker.NONE
    aside: bool = False


Element = Heading | Passage | Code


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkdownPage:
    """A page: its title ("" without one) and its elements in order."""

    title: str
    elements: tuple[Element, ...]


def read_page(text: str) -> MarkdownPage:
    """Read a page. Lines count from 1, those of the front matter included."""
    title = ""
    if front := _FRONT_MATTER.match(text):
        title = found[1].strip().strip("\"'") if (found := _TITLE.search(front[1])) else ""
        text = "\n" * front[0].count("\n") + text[front.end() :]
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(_without_boxes(text)))
    elements = tuple(_Elements(tokens))
    first = next((each.text for each in elements if isinstance(each, Heading)), "")
    return MarkdownPage(title=title or first, elements=elements)


def _without_boxes(text: str) -> Iterator[str]:
    """Yield the lines with the content of a tab as that of the page, and a box as a quote."""
    begun, quote = -1, ""
    for line in text.split("\n"):
        if found := _BOX.match(line):
            begun, quote = len(found[1]), "" if found[2] else "> "
            yield found[1] + quote + (found[3] or found[4] or "")
            continue
        if line.strip() and len(line) - len(line.lstrip()) < begun + 4:
            begun = -1
        yield f"{line[:begun]}{quote}{line[begun + 4 :]}" if begun >= 0 and line.strip() else line


def _plain(inline: Token) -> str:
    """Return a text without marks of emphasis, links and code; lines are as its author broke them."""
    pieces = (child.content or "\n" * child.type.endswith("break") for child in inline.children or ())
    return re.sub(r"[ \t]+", " ", "".join(pieces)).strip()


@dataclass(slots=True)
class _Elements:
    """Turns the tokens of a page into elements."""

    tokens: Sequence[Token]
    lists: list[Marker] = field(default_factory=list)
    line: int = 1
    is_first_of_item: bool = False
    quotes: int = 0
    heads: Sequence[str] = ()

    def __iter__(self) -> Iterator[Element]:
        heading = 0
        row: list[Token] = []
        for token in self.tokens:
            self._place(token)
            match token.type:
                case "heading_open":
                    heading = int(token.tag[1:])
                case "inline" if heading:
                    yield Heading(text=" ".join(_plain(token).split()), level=heading, line=self.line)
                    heading = 0
                case "inline":
                    row.append(token)
                case "fence" | "code_block":
                    language = (token.info.split() or [""])[0].lower()
                    yield Code(text=token.content, line=self.line + (token.type == "fence"), language=language)
                case "html_block":
                    yield from self._html(token.content)
            if row and token.type in ("paragraph_close", "tr_close"):
                yield self._passage(row)
                self.heads = self.heads or [_plain(each) for each in row]
                row = []

    def _place(self, token: Token) -> None:
        """Keep the line, and the lists that the token is in."""
        if token.map is not None:
            self.line = token.map[0] + 1
        if token.type in ("bullet_list_open", "ordered_list_open"):
            self.lists.append(Marker.BULLET if token.type.startswith("bullet") else Marker.NUMBER)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self.lists.pop()
        elif token.type == "table_open":
            self.heads = ()
        elif token.type.startswith("blockquote"):
            self.quotes += token.nesting
        elif token.type == "list_item_open":
            self.is_first_of_item = True

    def _passage(self, inline: Sequence[Token]) -> Passage:
        marker = self.lists[-1] if self.lists and self.is_first_of_item else Marker.NONE
        self.is_first_of_item = False
        codes: list[Code] = []
        for token in inline:
            line = self.line
            for child in token.children or ():
                line += child.type in ("softbreak", "hardbreak")
                if child.type == "code_inline":
                    codes.append(Code(text=child.content, line=line, block=False))
        cells = [_plain(each) for each in inline]
        named = [f"{head}: {cell}" for head, cell in zip(self.heads, cells, strict=False) if len(cells) > 1]
        expects = {at: each for at, each in enumerate(named) if labelled(each)[0] is Label.EXPECTED}
        said = " | ".join(each for at, each in enumerate(cells) if at not in expects)
        text = "\n".join([_CHECKBOX.sub("", said), *expects.values()])
        return Passage(text=text, line=self.line, codes=tuple(codes), marker=marker, aside=self.quotes > 0)

    def _html(self, content: str) -> Iterator[Element]:
        reader = _Html(self.line)
        reader.feed(content + AT_END)
        yield from reader.elements()


class _Html(HTMLParser):
    """Reads the texts and codes of an HTML block: a passage for each cell, item or paragraph."""

    _BREAKS = frozenset({"p", "li", "tr", "div", "br", "summary", "h1", "h2", "h3", "h4"})

    def __init__(self, line: int) -> None:
        super().__init__()
        self._line = line
        self._texts: list[str] = []
        self._code: list[str] | None = None
        self._found: list[Element] = []
        self._codes: list[Code] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("pre", "code"):
            self._code = self._code if self._code is not None else []
        elif tag in self._BREAKS and self._code is None:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("pre", "code") and self._code is not None:
            text = "".join(self._code)
            if text.strip():
                block = "\n" in text.strip()
                self._codes.append(Code(text=text.strip("\n"), line=self._at(), block=block))
                self._texts += [] if block else [" ".join(text.split())]
            self._code = None
        elif tag in ("td", "th"):
            self._texts.append(" | ")
        elif tag in self._BREAKS and self._code is None:
            self._end()

    def handle_data(self, data: str) -> None:
        (self._texts if self._code is None else self._code).append(data)

    def elements(self) -> Sequence[Element]:
        """Return what was read."""
        self._end()
        return self._found

    def _at(self) -> int:
        return self._line + self.getpos()[0] - 1

    def _end(self) -> None:
        text = " ".join("".join(self._texts).split()).strip(" |")
        if text or self._codes:
            spans = tuple(each for each in self._codes if not each.block)
            self._found += [Passage(text=text, line=self._at(), codes=spans)] if text else []
            self._found += [each for each in self._codes if each.block]
        self._texts, self._codes = [], []
