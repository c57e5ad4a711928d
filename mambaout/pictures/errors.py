"""Why a picture was not accepted."""

from __future__ import annotations

from typing import Literal

from mambaout.errors import MambaOutError

RejectionCode = Literal[
    "unreadable",  # no file there, or one that may not be read
    "empty",
    "too_many_bytes",
    "not_an_image",  # another kind of file, whatever its name says
    "damaged",
    "too_many_pixels",
    "too_elongated",
    "too_small",
    "too_complex",  # small on disk, but made to take minutes or gigabytes to decode
    "out_of_memory",
]


class Rejected(MambaOutError, ValueError):
    """A picture the gate refuses.

    Args:
        code: which rule it broke, for programs and translations.
        sentence: the same for people, with what to do. It holds no file name, path or other text
            of the file's author, so a page may show it as it is.
    """

    def __init__(self, code: RejectionCode, sentence: str) -> None:
        super().__init__(code, sentence)  # both, so that the error survives pickling
        self.code = code
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence
