"""The text of a table's file, in whatever encoding spreadsheets save one."""

import codecs

# A mark at the beginning names the encoding; without one it is UTF-8, else Windows' own.
_MARKED = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decoded(content: bytes) -> str | None:
    """The text; None when the file is no text in any of them."""
    marked = [encoding for mark, encoding in _MARKED.items() if content.startswith(mark)]
    for encoding in marked or ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
