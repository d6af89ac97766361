"""Errors whose message is one clear sentence for the user, in the language in use."""

from .language import tr

LONGEST = 2000


class LandloomError(Exception):
    """Something the user can put right: the message names the file, layer, band or parameter and what to do.

    As text it is one line, whatever the names from data hold: control characters become spaces, and of more than
    :data:`LONGEST` characters the middle is left out.
    """

    def __str__(self) -> str:
        text = "".join(one if one.isprintable() else " " for one in super().__str__())
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


class Cancelled(LandloomError):
    """The user cancelled; whatever was half written has been, or is about to be, removed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or tr("Cancelled: nothing was written."))


class MissingPackageError(LandloomError):
    """A Python package that this step needs is not installed.

    Args:
        package: the name to import, such as ``torch``.
        purpose: what it is needed for, as in "the network ltae".
    """

    def __init__(self, package: str, purpose: str) -> None:
        self.package = package
        self.purpose = purpose
        sentence = tr("{purpose} needs the Python package {package}, which is not installed.")
        super().__init__(sentence.format(purpose=tr(purpose), package=package))


class TooFewSamplesError(LandloomError):
    """Samples are fine, but too few or of too few classes or groups for what is asked of them."""


class ChangedError(LandloomError):
    """A source changed while it was read: nothing that was made of it may be kept."""


class GoneError(ChangedError):
    """A source is not there, or not seen from this machine.

    Args:
        message: the sentence.
        path: of the source.
    """

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class NoAnswerError(LandloomError):
    """A server does not answer: what it holds is neither there nor gone, and nothing may be skipped for it."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error tells of too little memory in another way than MemoryError: threads of Python, PyTorch."""
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't start new thread" in text or "DefaultCPUAllocator" in text)
