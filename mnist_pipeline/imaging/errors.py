"""Why an image has no answer."""


class ImageError(Exception):
    """This image has no answer, and why.

    Attributes:
        kind: one word or two, to count by.
        message: one line for the user, without the path.
        signature: size in bytes and time of change of the file as it was, where these were seen.
    """

    def __init__(self, kind: str, message: str, signature: tuple[int, int] | None = None) -> None:
        super().__init__(kind, message, signature)  # what it is made of, so that it can be pickled
        self.kind = kind
        self.message = message
        self.signature = signature

    def __str__(self) -> str:
        return self.message


def require_size(width: int, height: int, max_pixels: int) -> None:
    """By the header, before anything is decoded.

    Raises:
        ImageError: kind ``too large``.
    """
    if width * height > max_pixels:
        raise ImageError("too large", f"{width:,} x {height:,} pixels; at most {max_pixels:,} are decoded")
