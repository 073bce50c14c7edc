"""The published schemas of bank messages, each read once, and safe reading of XML."""

import re
from functools import cache
from pathlib import Path

from lxml import etree

from flowlink.kernel.errors import Invalid

PLACE = Path(__file__).with_name("schemas")
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
LARGEST_BYTES = 10 * 1024 * 1024
# Versions of which we have no file, and one that allows all that an answer to our orders can hold:
# they differ in direct debits' mandates and in tax records alone.
_AS = {"pain.002.001.10": "pain.002.001.12", "pain.002.001.11": "pain.002.001.12"}


class BadXml(Invalid):
    message = "This file cannot be read: %(problem)s"
    field = "file"


@cache
def schema(name: str) -> etree.XMLSchema | None:
    """The schema of a message such as `pain.001.001.09`; None for one that we do not have."""
    stand_in = _AS.get(name, name)
    path = PLACE.joinpath(f"{stand_in}.xsd")
    if not path.is_file():
        return None
    return etree.XMLSchema(
        etree.fromstring(path.read_bytes().replace(stand_in.encode(), name.encode()))
    )


def parse(body: bytes) -> etree._Element:
    """The root of a stranger's document: no entities, no network, no DTD, no endless size.

    :raises BadXml: too large, not well-formed, or with a document type of its own.
    """
    if len(body) > LARGEST_BYTES:
        raise BadXml(problem="larger than 10 MB")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadXml(problem=_said(error)) from None
    if b"<!DOCTYPE" in body.replace(b"\0", b"") or root.getroottree().docinfo.internalDTD:
        raise BadXml(problem="it brings a document type of its own")
    return root


def message_of(root: etree._Element) -> str:
    """Which ISO 20022 message this is, such as `camt.053.001.08`.

    :raises BadXml: none.
    """
    name = etree.QName(root)
    if name.localname != "Document" or not (name.namespace or "").startswith(NAMESPACE):
        raise BadXml(problem="not an ISO 20022 message")
    return str(name.namespace).removeprefix(NAMESPACE)


def check(root: etree._Element, message: str) -> None:
    """Hold a document against its message's schema, where we have it.

    :raises BadXml: with the first thing that does not fit.
    """
    known = schema(message)
    if known is None:
        return
    try:
        known.assertValid(root)
    except etree.DocumentInvalid as error:
        raise BadXml(problem=_said(error)) from None


def _said(error: Exception) -> str:
    """The parser's words without namespaces and its name for a file that has none."""
    return re.sub(r"\{[^}]*\}| \(<string>, line \d+\)", "", str(error))[:300]
