"""XML in one place: read so that a document can neither name others nor grow without end, and escaped when written."""

from __future__ import annotations

from html import escape as _escape
from xml.etree.ElementTree import Element, TreeBuilder  # nosec B405 # builds a tree of what parse_xml lets through
from xml.parsers import expat  # nosec B407 # parse_xml stops it at the first declaration of an entity

from .language import tr


def parse_xml(content: bytes, document_type: bool = False) -> Element:
    """The root element of a document, with names of namespaces as ``{address}name``.

    Entities are refused where they are declared, in whatever encoding the document is: none can name another file, nor
    grow without end. A document type that lies elsewhere is never fetched.

    Args:
        content: the document.
        document_type: whether it may have a document type; QGIS's styles name one.

    Raises:
        ValueError: if it is no whole XML, declares an entity, or has a document type that it may not have.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def full(name: str) -> str:
        return "{" + name if "}" in name else name

    def start(name: str, attributes: dict[str, str]) -> None:
        builder.start(full(name), {full(key): value for key, value in attributes.items()})

    def refuse_type(*_names: object) -> None:
        if not document_type:
            raise ValueError(tr("it has a document type"))

    def refuse_entity(*_names: object) -> None:
        raise ValueError(tr("it defines entities"))

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: builder.end(full(name))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_type
    parser.EntityDeclHandler = refuse_entity
    parser.UnparsedEntityDeclHandler = refuse_entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error
    except LookupError as error:  # an encoding that Python does not know
        raise ValueError(str(error)) from error
    return builder.close()


def escape(text: str) -> str:
    """The text as it stands between tags."""
    return _escape(text, quote=False)


def quoteattr(text: str) -> str:
    """The text as the value of an attribute, with its quotation marks; line ends and tabs stay what they are."""
    whole = _escape(text)
    for plain, reference in (("\n", "&#10;"), ("\r", "&#13;"), ("\t", "&#9;")):
        whole = whole.replace(plain, reference)
    return f'"{whole}"'
