"""Files that a reader opens or keeps."""

from fastapi import Response


def response(filename: str, file: bytes) -> Response:
    """A PDF, shown in the browser, `filename` when it is kept."""
    return Response(
        file,
        media_type="application/pdf",
        headers={"content-disposition": f'inline; filename="{filename}"'},
    )
