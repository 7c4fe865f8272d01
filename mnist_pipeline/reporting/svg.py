"""From matplotlib's SVG to SVG that lives inside a page: pure text to text.

Inside a page, colours are CSS variables, so that one chart is legible on light, dark and paper;
text is text in the page's font; and nothing needs inline styles, which a strict
Content-Security-Policy forbids.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
# Inherited from the page.
_DROPPED_PROPERTIES = ("font-family",)


def inline_svg(drawn: str, *, label: str, colours: Mapping[str, str]) -> str:
    """The chart as one ``<svg>`` element for an HTML page.

    Args:
        drawn: a whole SVG document by matplotlib, with text as text.
        label: text alternative of the chart.
        colours: hex colour in the drawing -> CSS variable that replaces it.
    """
    # The text is matplotlib's own, drawn a moment ago in this process.
    root = ET.fromstring(drawn)  # noqa: S314
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        _style_to_attributes(element, colours)
        if element.tag == f"{{{SVG}}}g":  # groups are numbered from one in every drawing; a page holds no id twice
            element.attrib.pop("id", None)
        if path := element.get("d"):
            element.set("d", _round(" ".join(path.split())))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("stroke-linejoin", "round")
    return _as_text(root)


def _style_to_attributes(element: ET.Element, colours: Mapping[str, str]) -> None:
    """Presentation attributes mean the same as an inline style, and no policy forbids them."""
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # the shorthand of older releases: "bold 9px 'DejaVu Sans'"
            if found := re.search(r"([\d.]+px)", value):
                element.set("font-size", found[1])
        elif name and name not in _DROPPED_PROPERTIES:
            element.set(name, f"var({colours[value]})" if value in colours else value)


def _round(path: str) -> str:
    """Two decimals are a hundredth of a point; more is weight without sight."""
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), path)


def _as_text(root: ET.Element) -> str:
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    text = ET.tostring(root, encoding="unicode")
    return re.sub(r">\s+<", "><", text)
