"""Why a picture was not accepted."""

from __future__ import annotations

from typing import Any, Literal

from mambaout.errors import MambaOutError, Sentence

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
        template: the same for people, with what to do; named places in braces. Filled in, it holds
            no file name, path or other text of the file's author: a page may show it as it is.
        **values: what is put there.
    """

    def __init__(self, code: RejectionCode, template: str, **values: Any) -> None:
        self.code = code
        self.sentence = Sentence(template, **values)
        super().__init__(self.sentence)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rejected, (self.code, self.sentence)


def _rejected(code: RejectionCode, sentence: Sentence) -> Rejected:
    return Rejected(code, sentence.template, **sentence.values)
