"""A short address as a QR code. Error correction M: it survives a scratch, and stays small."""

from io import BytesIO

import segno

_BORDER = 4  # what the standard asks for; readers need it


def svg(address: str) -> bytes:
    """As a drawing, for print of any size."""
    out = BytesIO()
    _code(address).save(out, kind="svg", scale=8, border=_BORDER, xmldecl=False, light="#fff")
    return out.getvalue()


def png(address: str, *, scale: int = 10) -> bytes:
    """As a picture, `scale` pixels a module."""
    out = BytesIO()
    _code(address).save(out, kind="png", scale=scale, border=_BORDER)
    return out.getvalue()


def _code(address: str) -> segno.QRCode:
    return segno.make(address, error="m", micro=False, boost_error=True)
