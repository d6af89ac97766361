"""Turns the Markdown of the docs into HTML pages that a browser shows without network.

The little that the docs use: headings, paragraphs, lists (one level), tables, fenced code, pictures, links, bold,
italics, code. Anything else is text.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path

_STYLE = (
    "body{font-family:'Segoe UI',Helvetica,Arial,sans-serif;color:#1d2a22;max-width:62em;margin:2em auto;"
    "padding:0 1.5em;line-height:1.5}h1{font-size:1.7em}h2{border-bottom:2px solid #3d7a4f;margin-top:1.8em}"
    "table{border-collapse:collapse;font-size:.92em}th,td{padding:.3em .6em;border-bottom:1px solid #dde4df;"
    "text-align:left;vertical-align:top}th{background:#eef3ef}code{background:#eef3ef;padding:0 .2em}"
    "pre{background:#eef3ef;padding:.6em .9em;white-space:pre-wrap;overflow-wrap:anywhere}pre code{padding:0}"
    "img{max-width:100%;border:1px solid #dde4df}a{color:#28663b}"
)
_ITEM = re.compile(r"(?:[-*]|(\d+)\.) +(.*)")
_INLINE = re.compile(
    r"(?P<code>`[^`]+`)|!\[(?P<alt>[^\]]*)\]\((?P<image>[^)\s]+)\)|\[(?P<text>[^\]]+)\]\((?P<link>[^)\s]+)\)"
    r"|\*\*(?P<bold>[^*]+)\*\*|(?<![\w*])\*(?P<italic>[^*\s][^*]*)\*(?![\w*])"
)


def anchor(heading: str) -> str:
    """The name by which links reach a heading, as code forges make it."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower())
    return kept.strip().replace(" ", "-")


def inline(text: str, link: Callable[[str], str]) -> str:
    """One line or paragraph; every text is escaped, ``link`` says where an address leads."""
    parts, last = [], 0
    for match in _INLINE.finditer(text):
        parts.append(html.escape(text[last : match.start()]))
        last = match.end()
        if match["code"]:
            parts.append(f"<code>{html.escape(match['code'][1:-1])}</code>")
        elif match["image"]:
            parts.append(f'<img src="{html.escape(link(match["image"]))}" alt="{html.escape(match["alt"])}">')
        elif match["link"]:
            parts.append(f'<a href="{html.escape(link(match["link"]))}">{inline(match["text"], link)}</a>')
        elif match["bold"]:
            parts.append(f"<b>{inline(match['bold'], link)}</b>")
        else:
            parts.append(f"<i>{inline(match['italic'], link)}</i>")
    parts.append(html.escape(text[last:]))
    return "".join(parts)


def _cells(line: str) -> list[str]:
    """Cells of a line of a table; a bar after a backslash is text."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def body(text: str, link: Callable[[str], str]) -> str:
    """The HTML of a page's content."""
    lines, made, at = text.splitlines(), [], 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif line.startswith("```"):
            end = next((i for i in range(at + 1, len(lines)) if lines[i].startswith("```")), len(lines))
            made.append("<pre><code>" + html.escape("\n".join(lines[at + 1 : end])) + "</code></pre>")
            at = end + 1
        elif heading := re.match(r"(#{1,4}) +(.*)", line):
            level = len(heading[1])
            made.append(f'<h{level} id="{anchor(heading[2])}">{inline(heading[2], link)}</h{level}>')
            at += 1
        elif line.startswith("|"):
            end = next((i for i in range(at, len(lines)) if not lines[i].startswith("|")), len(lines))
            made.append(_table(lines[at:end], link))
            at = end
        elif _ITEM.match(line):
            end = next((i for i in range(at, len(lines)) if not _goes_on(lines[i])), len(lines))
            made.append(_list(lines[at:end], link))
            at = end
        else:
            end = next((i for i in range(at, len(lines)) if not _is_text(lines[i], i > at)), len(lines))
            made.append("<p>" + inline(" ".join(x.strip() for x in lines[at:end]), link) + "</p>")
            at = end
    return "\n".join(made)


def _goes_on(line: str) -> bool:
    return bool(_ITEM.match(line)) or (line.startswith(" ") and bool(line.strip()))


def _is_text(line: str, inside: bool) -> bool:
    return bool(line.strip()) and not (inside and (line.startswith(("|", "```", "#")) or _ITEM.match(line)))


def _table(lines: list[str], link: Callable[[str], str]) -> str:
    ruled = len(lines) > 1 and set(lines[1]) <= set("|-: ")
    rows = []
    for number, line in enumerate(lines):
        if number == 1 and ruled:
            continue
        kind = "th" if number == 0 and ruled else "td"
        rows.append("<tr>" + "".join(f"<{kind}>{inline(cell, link)}</{kind}>" for cell in _cells(line)) + "</tr>")
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _list(lines: list[str], link: Callable[[str], str]) -> str:
    items: list[str] = []
    for line in lines:
        match = _ITEM.match(line)
        if match:
            items.append(match[2])
        else:
            items[-1] += " " + line.strip()
    first = _ITEM.match(lines[0])
    tag = "ol" if first and first[1] else "ul"
    return f"<{tag}>\n" + "\n".join(f"<li>{inline(item, link)}</li>" for item in items) + f"\n</{tag}>"


def page(text: str, link: Callable[[str], str], language: str = "en") -> str:
    """A whole page; its title is the first heading."""
    title = next((re.sub(r"[`*]", "", line[2:]) for line in text.splitlines() if line.startswith("# ")), "Landloom")
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)} - Landloom</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{body(text, link)}\n</body>\n</html>\n"
    )


def hand_written(root: Path) -> dict[str, str]:
    """Pages of docs/ that are written by hand -> their help pages, both relative to the root."""
    topics = {
        f"docs/{one.name}": f"resources/help/docs/{one.stem}.html" for one in sorted((root / "docs").glob("*.md"))
    }
    topics.pop("docs/parameters.md", None)  # made from the code, like those of the algorithms
    guide = sorted((root / "docs" / "guide").glob("*.md"))
    return topics | {f"docs/guide/{one.name}": f"resources/help/guide/{one.stem}.html" for one in guide}


def algorithm_pages(root: Path) -> dict[str, str]:
    """Pages of the algorithms and their list -> their English help pages, both relative to the root."""
    pages = {
        f"docs/algorithms/{one.name}": f"resources/help/en/{one.stem}.html"
        for one in sorted((root / "docs" / "algorithms").glob("*.md"))
    }
    return pages | {"docs/parameters.md": "resources/help/en/index.html"}


def leads_to(link: str, source: str, here: str, pages: Mapping[str, str]) -> str:
    """Where a link of the docs leads from a help page.

    Args:
        link: as it stands in the Markdown page.
        source: that page, relative to the root.
        here: the help page, relative to the root.
        pages: Markdown page -> help page, for those that have one.
    """
    if re.match(r"[a-z]+:", link) or link.startswith("#"):
        return link
    name, sign, heading = link.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
    return posixpath.relpath(pages.get(path, path), posixpath.dirname(here)) + sign + heading


def help_of(root: Path, pages: Mapping[str, str] | None = None) -> dict[str, str]:
    """Help page -> its HTML, of the pages that are written by hand.

    Args:
        root: of the project.
        pages: Markdown page -> help page, for links; those that are there by default.
    """
    own = hand_written(root)
    known = pages if pages is not None else {**algorithm_pages(root), **own}
    made = {}
    for source, target in own.items():
        text = (root / source).read_text(encoding="utf-8")
        made[target] = page(text, lambda link, s=source, t=target: leads_to(link, s, t, known))  # type: ignore[misc]
    return made
