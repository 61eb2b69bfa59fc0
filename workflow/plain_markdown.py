"""MyST as plain Markdown, for readers that know no directives: Colab, GitHub, an editor.

What is a directive, a role or a link is decided by markdown-it, which also says in which lines.
"""

from collections.abc import Callable

from citations import Citations
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

ADMONITIONS = ("admonition", "note", "warning", "tip", "important", "hint", "caution", "attention")
MARKS = ("exercise-start", "exercise-end", "solution-start", "solution-end")
PARSER = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(myst_role_plugin)
    .use(dollarmath_plugin, double_inline=True)
    .use(amsmath_plugin)
    .use(colon_fence_plugin)
)


def plain(
    text: str, citations: Citations, lead: Callable[[str], str | None]
) -> tuple[str, list[str]]:
    """A cell without MyST, and the marks of exercises and solutions that it had, in order.

    lead  where a link leads now; None leaves its words only

    Raises ValueError for a directive or a role that this does not know.
    """
    tokens = PARSER.parse(text)
    lines = text.split("\n")
    for token in tokens:
        if token.type == "inline":
            first, end = token.map
            said = "\n".join(lines[first:end])
            for child in token.children:
                said = _inline(said, child, citations, lead)
            # as many lines as before, so that the maps of later tokens stay true
            lines[first:end] = [said, *[None] * (end - first - 1)]
    marks, opened = [], None
    for token in tokens:
        if token.type not in ("fence", "colon_fence") or not token.info.startswith("{"):
            continue
        name, _, argument = token.info.removeprefix("{").partition("}")
        first, end = token.map
        body = [line for line in token.content.split("\n") if not line.startswith(":")]
        if name in ADMONITIONS:
            inner, _ = plain("\n".join(body).strip(), citations, lead)
            new = _quoted(argument.strip() or name.capitalize(), inner)
        elif name in MARKS:
            marks.append(name)
            new = ""
            if name == "exercise-start":
                opened = end
            elif name == "exercise-end":
                inner = "\n".join(line for line in lines[opened:first] if line is not None)
                lines[opened:first] = [None] * (first - opened)
                new = _quoted("Exercise", inner.strip())
        else:
            raise ValueError(f"no plain form of the directive {{{name}}}; add one to {__file__}")
        lines[first:end] = [new, *[None] * (end - first - 1)]
    return "\n".join(line for line in lines if line is not None), marks


def _quoted(title: str, text: str) -> str:
    lines = [f"**{title}**", "", *text.split("\n")]
    return "\n" + "\n".join(f"> {line}".rstrip() for line in lines) + "\n"


def _inline(said: str, token: Token, citations: Citations, lead) -> str:
    """A paragraph's source with one role or one link replaced."""
    if token.type == "myst_role":
        name, content = token.meta["name"], token.content
        if not name.startswith("cite"):
            raise ValueError(f"no plain form of the role {{{name}}}`{content}`; add one")
        return said.replace(f"{{{name}}}`{content}`", citations.told(name, content), 1)
    if token.type == "link_open":
        to = token.attrs["href"]
        at = said.find(f"]({to})")
        new = lead(to)
        if at >= 0 and new != to:
            words = said[_opening(said, at) + 1 : at]
            new = words if new is None else f"[{words}]({new})"
            return said[: _opening(said, at)] + new + said[at + len(to) + 3 :]
    return said


def _opening(said: str, closing: int) -> int:
    """Where the bracket opens that closes there."""
    depth = 0
    for place in range(closing, -1, -1):
        depth += {"]": 1, "[": -1}.get(said[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"a link without an opening bracket: {said[:60]}")
