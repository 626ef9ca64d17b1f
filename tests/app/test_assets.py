"""Scripts and style sheets, parsed and linted: `python -m pytest tests/app/test_assets.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_css
import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from hf_bones.app.assets import call, css, function
from hf_bones.pages.palette import CLASS_COLOURS
from hf_bones.pages.templates import PACKAGE

SCRIPTS, STYLES = sorted(PACKAGE.rglob("*.js")), sorted(PACKAGE.rglob("*.css"))
PARSERS = {".js": Parser(Language(tree_sitter_javascript.language())), ".css": Parser(Language(tree_sitter_css.language()))}
EVERY_BROWSER_HAS = {
    "Array", "Blob", "Boolean", "CSS", "DataTransfer", "Error", "Event", "File", "Image", "JSON", "Map", "Math", "Number", "Object",
    "Option", "Promise", "ResizeObserver", "Set", "String", "URL", "Uint8ClampedArray", "clearTimeout", "document", "fetch",
    "getComputedStyle", "globalThis", "navigator", "requestAnimationFrame", "sessionStorage", "setTimeout", "window",
}  # fmt: skip
DECLARES = {
    "variable_declarator": "name",
    "function_declaration": "name",
    "catch_clause": "parameter",
    "arrow_function": "parameter",
    "for_in_statement": "left",
}


def parsed(path: Path) -> Node:
    return PARSERS[path.suffix].parse(path.read_bytes()).root_node


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def names(node: Node, *kinds: str) -> set[str]:
    return {one.text.decode() for one in nodes(node) if one.type in kinds and one.text}


def declared(root: Node) -> set[str]:
    """Names that a script declares anywhere, inputs included."""
    found = set()
    for node in nodes(root):
        holder = node.child_by_field_name(DECLARES[node.type]) if node.type in DECLARES else None
        for pattern in (holder, node if node.type == "formal_parameters" else None):
            if pattern is not None:
                found |= names(pattern, "identifier", "shorthand_property_identifier_pattern")
    return found


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES], ids=lambda path: path.name)
def test_a_script_or_style_sheet_has_no_syntax_error(path: Path) -> None:
    bad = [(node.start_point.row + 1, node.type) for node in nodes(parsed(path)) if node.is_error or node.is_missing]
    assert not bad


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_function_that_knows_its_inputs_and_the_browser_alone(path: Path) -> None:
    root = parsed(path)
    body = [node for node in root.children if node.type != "comment"]
    assert [node.children[0].type for node in body] == ["arrow_function"]
    unknown = names(root, "identifier", "shorthand_property_identifier") - declared(root) - EVERY_BROWSER_HAS
    assert not unknown


def test_a_name_that_nobody_declared_is_found() -> None:
    root = PARSERS[".js"].parse(b"({ page }) => { const a = 1; return page.b + a + hidden; }").root_node
    assert names(root, "identifier") - declared(root) == {"hidden"}


def test_a_script_is_called_with_what_it_is_given() -> None:
    called = call("app/demo/browser/links.js", "element", other="app/demo/browser/drawing.js")
    assert called.startswith("(({ element }) => {") and called.endswith("});") and "({ element, other: ({ canvas }) =>" in called
    assert function("app/demo/browser/camera.js").startswith("({ dialog, ")


def test_the_colours_of_the_classes_come_from_the_palette_alone() -> None:
    assert all(f'[data-class="{name}"] {{ --mark: {colour}; }}' in css() for name, colour in CLASS_COLOURS.items())
    for path in STYLES:
        assert not any(colour.lower() in path.read_text().lower() for colour in CLASS_COLOURS.values()), path.name
