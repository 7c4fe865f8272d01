"""``report.md``: the report for the Prefect UI and for pull requests. Values in, text out.

GitHub-flavoured Markdown. Whatever comes from data goes through `escape` or `code` in the template, so that it
can neither become markup nor break out of its table cell.
"""

import re

from mnist_pipeline.reporting import sentences, view
from mnist_pipeline.reporting.environment import environment
from mnist_pipeline.reporting.inputs import ReportInputs

_SPECIAL = re.compile(r"([\\`*_\[\]|~!#$])")
# What makes a list or a heading of the line above, where a text begins a line.
_BLOCK_START = re.compile(r"^(\s*\d*)([-+=.)])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def escape(text: str) -> str:
    """``text`` as literal Markdown text on one line."""
    line = _CONTROL.sub(" ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    # "://" and "www." would become links by themselves.
    line = re.sub(r"(?i)(www)\.", r"\1&#46;", line.replace("://", "&#58;//"))
    return _BLOCK_START.sub(r"\1\\\2", line)


def code(text: str) -> str:
    """``text`` as a code span on one line, also inside a table cell."""
    line = _CONTROL.sub(" ", text).replace("|", "\u2223")  # no escape for a pipe works everywhere in a code span
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    padding = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def render_markdown(inputs: ReportInputs) -> str:
    """The report of one run as Markdown."""
    template = environment(html=False).get_template("report.md.j2")
    return template.render(inputs=inputs, view=view, words=sentences, text=escape, code=code).rstrip() + "\n"
