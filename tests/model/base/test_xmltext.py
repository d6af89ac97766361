"""Protects the reading of XML from elsewhere: the same tree as ElementTree's, and nothing that names or grows."""

from xml.etree import ElementTree
from xml.sax import saxutils

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.xmltext import escape, parse_xml, quoteattr

DOCUMENTS = [
    b"<a/>",
    b'<a x="1 &amp; 2" y="&#233;">one<b>two</b>three<!-- note --><b/>\n<c><![CDATA[<raw>]]></c>tail</a>',
    b'<g:a xmlns:g="http://one" xmlns="http://two" g:x="1"><b y="2"/><g:c/></g:a>',
    "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode("latin-1"),
    "<?xml version='1.0' encoding='UTF-16'?><a b='ç'>é</a>".encode("utf-16"),
]


def same(one, other) -> bool:
    return (
        (one.tag, one.attrib, one.text, one.tail) == (other.tag, other.attrib, other.text, other.tail)
        and len(one) == len(other)
        and all(map(same, one, other))
    )


@pytest.mark.parametrize("content", DOCUMENTS)
def test_the_tree_is_that_of_elementtree(content):
    assert same(parse_xml(content), ElementTree.fromstring(content))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "entity",
    ["<!ENTITY a 'bomb'>", "<!ENTITY a SYSTEM 'file:///etc/passwd'>", "<!ENTITY % a SYSTEM 'http://127.0.0.1:9/'>"],
)
def test_entities_are_refused_in_every_encoding(entity, encoding):
    content = f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE a [{entity}]><a>&a;</a>".encode(encoding)
    with pytest.raises(ValueError, match="document type"):
        parse_xml(content)
    with pytest.raises(ValueError, match="entities"):
        parse_xml(content, document_type=True)


def test_a_document_type_elsewhere_is_let_through_where_allowed_and_never_fetched():
    content = b"<!DOCTYPE qgis PUBLIC 'http://127.0.0.1:9/qgis.dtd' 'SYSTEM'><qgis a='1'/>"
    assert parse_xml(content, document_type=True).attrib == {"a": "1"}
    with pytest.raises(ValueError, match="document type"):
        parse_xml(content)


@pytest.mark.parametrize(
    "content", [b"", b"<a>", b"<a></b>", b"text", b"<a/><b/>", b"\x00\x01", b"<?xml version='1.0' encoding='x'?><a/>"]
)
def test_what_is_no_whole_xml_is_a_valueerror(content):
    with pytest.raises(ValueError):
        parse_xml(content)


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=("Cs",)) | st.sampled_from("\n\t\r<>&\"'")))
def test_what_is_escaped_is_read_back(text):
    readable = "".join(one for one in text if one not in "\ufffe\uffff")
    root = parse_xml(f"<a b={quoteattr(readable)}>{escape(readable)}</a>".encode())
    assert root.get("b") == readable
    assert (root.text or "") == readable.replace("\r\n", "\n").replace("\r", "\n")  # as XML reads line ends
    assert escape(readable) == saxutils.escape(readable)
