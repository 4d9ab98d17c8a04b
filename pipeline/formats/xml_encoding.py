"""The encoding of an XML file where its declaration and its bytes contradict each other."""

import re
from typing import NamedTuple

from pipeline.archive.encodings import decode, encoding_of

_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*?\?>")
_ENCODING = re.compile(rb"""<\?xml\b[^>]*?\bencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_DECLARATION_BYTES = 400
_WIDE = re.compile(r"(utf-?(16|32)|ucs-?[24]|iso-10646)", re.IGNORECASE)  # each letter has two or four bytes
_MULTIBYTE = re.compile(r"(gb|big5|shift|sjis|cp9|ms9|windows-31j|euc|iso-2022|ks_c|johab)", re.IGNORECASE)


class XmlBytes(NamedTuple):
    """`content` for a parser that receives `encoding`, or finds it itself where that is None.

    `overruled`: the declared encoding, where the bytes are UTF-8 instead; else empty.
    """

    content: bytes
    encoding: str | None = None
    overruled: str = ""


def readable_xml(content: bytes) -> XmlBytes:
    """The bytes decide: plain UTF-8 is read as that whatever is declared, and UTF-16 with or without a mark as that.

    A declared code page, such as GBK, counts where the bytes are not UTF-8. Raises UnknownEncoding for bytes that are
    neither UTF-8 nor UTF-16 where the declaration names one of both, or nothing.
    """
    if encoding_of(content) not in ("utf-8", "utf-8-sig"):
        return XmlBytes(_blank_declaration(decode(content)), "utf-8")
    match = _ENCODING.search(content[:_DECLARATION_BYTES])
    declared = match[1].decode("ascii") if match else "utf-8"
    if declared.lower() in ("utf-8", "utf8", "us-ascii", "ascii") and content.isascii():
        return XmlBytes(content)  # nearly every file
    if _is_utf8(content, declared):
        named_otherwise = declared.lower() not in ("utf-8", "utf8") and (not content.isascii() or _WIDE.match(declared))
        return XmlBytes(content, "utf-8", declared if named_otherwise else "")
    if _WIDE.match(declared) or declared.lower() in ("utf-8", "utf8"):
        decode(content)
    return XmlBytes(content)


def _is_utf8(content: bytes, declared: str) -> bool:
    """Whether the bytes are UTF-8, and not letters of the declared code page that are valid as both by chance."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    if _MULTIBYTE.match(declared) and not text.isascii():
        return any(char >= "\u0800" for char in text)  # three bytes; two are one letter of GBK as well
    return True


def _blank_declaration(text: str) -> bytes:
    """UTF-8 without the declaration, whose lines stay."""
    match = _DECLARATION.match(text)
    return (("\n" * match[0].count("\n") + text[match.end() :]) if match else text).encode()
