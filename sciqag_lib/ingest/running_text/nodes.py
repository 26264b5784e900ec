"""XML read safely, and small helpers on lxml nodes.

No entity that a file declares is ever expanded and no DTD is fetched. JATS files name an external DTD in their
DOCTYPE: that is allowed, and characters it would define (`&alpha;`) are taken from HTML's list of entities.
"""

from collections.abc import Iterator
from html.entities import html5
from typing import Any

from lxml import etree

from sciqag_lib.errors import InputError


def parse_xml(data: bytes) -> Any:
    """The root element. InputError: not well-formed XML, or it declares entities (a bomb, or a file to steal)."""
    # Without huge_tree, libxml2 also bounds the depth (256) and what entities in attributes may grow to.
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise InputError(f"broken XML at line {line}, column {column}: {error.msg}; correct the file") from error
    except ValueError as error:
        raise InputError(f"not readable as XML: {error}") from error
    declared = root.getroottree().docinfo.internalDTD
    names = [entity.name for entity in declared.iterentities()] if declared is not None else []
    if names:
        shown = ", ".join(names[:5])
        raise InputError(f"refused: it declares its own entities ({shown}); remove them from its DOCTYPE")
    return root


def local_name(node: Any) -> str:
    """The element's name without its namespace; "" for comments, processing instructions and entities."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def child_named(node: Any, name: str) -> Any:
    """The first child of that name, or None."""
    return next((child for child in child_elements(node) if local_name(child) == name), None)


def text_size(node: Any) -> int:
    """Characters of all text below a node, white space single."""
    return len(" ".join("".join(node.itertext()).split()))


def own_language(node: Any) -> str:
    """The first two letters of its xml:lang: "en" for "en-US" and "eng"; "" where it has none."""
    return node.get("{http://www.w3.org/XML/1998/namespace}lang", "").strip().lower()[:2]


def child_elements(node: Any) -> Iterator[Any]:
    return node.iterchildren(tag=etree.Element)


def resolve_entity(node: Any) -> str:
    """The character that an unexpanded `&name;` stands for; "" for every other node that is no element."""
    if node.tag is not etree.Entity:
        return ""
    return html5.get(f"{node.name};", f"&{node.name};")


def find_all(node: Any, path: str) -> list[Any]:
    """Descendants by a path of local names, "front/article-meta/title-group", whatever their namespace.

    The first name is looked for at any depth below `node`, each further one among the children.
    """
    return list(_iterate_path(node, path))


def find_first(node: Any, path: str) -> Any:
    """The first of `find_all`, or None."""
    return next(_iterate_path(node, path), None)


def _iterate_path(node: Any, path: str) -> Iterator[Any]:
    first, _, rest = path.partition("/")
    for found in node.iterdescendants(f"{{*}}{first}"):
        yield from _iterate_children(found, rest)


def _iterate_children(node: Any, path: str) -> Iterator[Any]:
    if not path:
        yield node
        return
    name, _, rest = path.partition("/")
    for child in node.iterchildren(f"{{*}}{name}"):
        yield from _iterate_children(child, rest)
