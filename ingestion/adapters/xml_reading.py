"""XML bytes to start and end events with attributes, in flat memory. DTDs and entities are refused; sizes
are bounded.
"""

from typing import Protocol
from xml.parsers.expat import ExpatError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ingestion.adapters.base import FileRefused, Limits, Progress

_CHUNK = 1024 * 1024


class Elements(Protocol):
    """Receives the elements of a file in order."""

    def start(self, number: int, depth: int, tag: str, attributes: dict[str, str]) -> None:
        """number: 1-based count of elements so far; depth: 1 for the root."""
        ...

    def end(self, depth: int, tag: str) -> None: ...


class _Bounded:
    """Counts what expat reports, refuses what is beyond the limits, and hands the rest on."""

    def __init__(self, elements: Elements, limits: Limits) -> None:
        self._elements = elements
        self._limits = limits
        self.count = 0
        self.depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        self.depth += 1
        limits = self._limits
        if self.count > limits.xml_elements:
            raise FileRefused(
                "too_many_elements",
                f"The file has more than {limits.xml_elements:,} elements. Ask for a shorter period.",
            )
        if self.depth > limits.xml_depth:
            raise FileRefused("too_deep", f"Elements are nested more than {limits.xml_depth} deep.", line=self.count)
        if attributes and max(map(len, attributes.values())) > limits.xml_attribute:
            raise FileRefused(
                "attribute_too_long",
                f"An attribute is longer than {limits.xml_attribute:,} characters.",
                line=self.count,
            )
        self._elements.start(self.count, self.depth, tag, attributes)

    def end(self, tag: str) -> None:
        self._elements.end(self.depth, tag)
        self.depth -= 1


def read_elements(content: bytes, elements: Elements, *, limits: Limits, progress: Progress) -> None:
    """Report every element of `content`. Raises FileRefused: too_large, xml_dtd, bad_xml and the bounds
    above.
    """
    if len(content) > limits.xml_bytes:
        raise FileRefused("too_large", f"The file is larger than {limits.xml_bytes:,} bytes. Ask for a shorter period.")
    bounded = _Bounded(elements, limits)
    # The defused parser refuses DTDs and entities; its expat is driven directly since no tree is wanted and
    # the
    # wrapper's renaming of every attribute costs more than the parsing.
    expat = DefusedXMLParser(forbid_dtd=True, forbid_entities=True, forbid_external=True).parser
    expat.ordered_attributes = False
    expat.StartElementHandler = bounded.start
    expat.EndElementHandler = bounded.end
    expat.CharacterDataHandler = None
    expat.CommentHandler = None
    expat.ProcessingInstructionHandler = None
    expat.DefaultHandlerExpand = None
    total = len(content)
    view = memoryview(content)
    try:
        for offset in range(0, total, _CHUNK):
            progress(offset, total)
            expat.Parse(bytes(view[offset : offset + _CHUNK]), False)
        expat.Parse(b"", True)
    except DefusedXmlException as exc:
        raise FileRefused(
            "xml_dtd", "The file declares a DTD or an entity. Statements hold none: it is not read."
        ) from exc
    except ExpatError as exc:
        raise FileRefused(
            "bad_xml", f"Line {exc.lineno} is not valid XML: the file is cut off or damaged.", line=exc.lineno
        ) from exc
    except (LookupError, ValueError) as exc:  # the encoding that the XML declaration names
        raise FileRefused("encoding", "The file declares an encoding that cannot be read. Save it as UTF-8.") from exc
    progress(total, total)
