"""The template of every report: what it says first, its key figures, what was done, and then the evidence.

A page is one HTML file without scripts and without anything from the network. Parts are fragments of HTML, made by the
functions here and in `reports.charts`, which escape what they are given.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reports.style import CSS

MARKS = {"good": "✓ ", "fair": "! ", "bad": "✕ ", "plain": ""}


@dataclass(frozen=True)
class Tile:
    """A key figure.

    Attributes:
        value: as it is shown, without unit.
        unit: of the value, may be empty.
        label: what it is.
    """

    value: str
    unit: str
    label: str


@dataclass
class Page:
    """A report.

    Attributes:
        kind: which report this is, such as "Field adaptation".
        title: what it is about.
        verdict: the result in a sentence or two.
        mood: "good", "fair", "bad" or "plain", shown as a mark and a colour beside the verdict.
        tiles: key figures.
        done: what was done: name and value.
        footer: where it comes from: command, commit, date.
        sections: title and fragments of HTML.
    """

    kind: str
    title: str
    verdict: str
    mood: str = "plain"
    tiles: Sequence[Tile] = ()
    done: Mapping[str, str] = field(default_factory=dict)
    footer: str = ""
    sections: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, title: str, *fragments: str) -> None:
        """Append a section."""
        self.sections.append((title, fragments))

    def html(self) -> str:
        """Return the page."""
        tiles = "".join(
            f'<div class="tile"><b>{_safe(t.value)}{_unit(t.unit)}</b><span>{_safe(t.label)}</span></div>'
            for t in self.tiles
        )
        done = "".join(f"<dt>{_safe(name)}</dt><dd>{_safe(value)}</dd>" for name, value in self.done.items())
        mark = f'<b class="mark">{MARKS[self.mood]}</b>'
        parts = [
            f'<p class="kind">{_safe(self.kind)}</p>\n<h1>{_safe(self.title)}</h1>',
            f'<div class="verdict {self.mood}"><p>{mark}{_safe(self.verdict)}</p></div>',
            f'<div class="tiles">{tiles}</div>' if tiles else "",
            f"<h2>What was done</h2>\n<dl>{done}</dl>" if done else "",
            *("\n".join((f"<h2>{_safe(title)}</h2>", *fragments)) for title, fragments in self.sections),
            f"<footer>{_safe(self.footer)}</footer>" if self.footer else "",
        ]
        return (
            '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{_safe(self.title)}</title>\n<style>{CSS}</style></head>\n<body><main>\n"
            + "\n".join(part for part in parts if part)
            + "\n</main></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page atomically and return its path."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_text(self.html(), encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path


def paragraph(text: str, note: bool = False) -> str:
    """Return a paragraph; a note is set smaller and softer."""
    kind = ' class="note"' if note else ""
    return f"<p{kind}>{_safe(text)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> str:
    """Return a table; a column whose every cell is a number is set to the right.

    Args:
        head: titles of the columns.
        rows: cells as they are shown.
        marks: for each row "ok", "warn" or "fail", shown in its first cell.
    """
    right = [all(_numeric(row[i]) for row in rows) and i > 0 for i in range(len(head))]

    def line(cells: Sequence[str], tag: str, mark: str = "") -> str:
        kinds = [mark if i == 0 and mark else "number" if right[i] else "" for i in range(len(cells))]
        made = (f'<{tag} class="{kind}">{_safe(c)}</{tag}>' for c, kind in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line(row, "td", marks[i] if marks else "") for i, row in enumerate(rows))
    return f'<div class="scroll"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def image(data: bytes, kind: str, alt: str) -> str:
    """Return a picture of the MIME type `kind` that is held in the page itself."""
    return f'<img alt="{_safe(alt)}" src="data:{kind};base64,{base64.b64encode(data).decode()}">'


def frame(document: str, title: str, height: int = 480) -> str:
    """Return a whole HTML document, such as a 3-D replay, inside the page; it is left out on paper."""
    return f'<iframe title="{_safe(title)}" height="{height}" loading="lazy" srcdoc="{_safe(document)}"></iframe>'


def _unit(unit: str) -> str:
    return f" <small>{_safe(unit)}</small>" if unit else ""


def _numeric(cell: str) -> bool:
    return cell.strip(" +-−–—±×%.,0123456789") == ""


def _safe(text: str) -> str:
    return html.escape(str(text))
