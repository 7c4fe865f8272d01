"""How the command line writes what others have named: always on one line."""

from mnist_pipeline.runs.wording import NO_BREAK_SPACE


def escaped(text: str) -> str:
    """The text with every character that moves the cursor or cannot be seen written as an escape.

    A byte of a file name that is not UTF-8 is written as ``xNN`` behind a backslash, as in the rows of `score`.
    """
    return "".join(_shown(character) for character in text)


def one_line(text: str) -> str:
    """Prose that a library may have broken over several lines, as one escaped line."""
    return escaped(" ".join(text.split()))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character == NO_BREAK_SPACE:
        return " "
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that it could not decode (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()
