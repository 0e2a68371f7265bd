"""What can go wrong in a stage, by who must act."""

from storage.errors import UnseenError


class InputError(UnseenError):
    """The photos, sidecars or config cannot give a result: change them, a retry cannot help."""


class DegenerateGeometryError(InputError):
    """The input does not determine the answer: change the input, a retry cannot help."""


class MachineError(UnseenError):
    """The machine failed, not the input (a killed worker, no memory): a retry may help."""


class DivergedError(UnseenError):
    """An optimisation that diverges on the same input diverges again: change its config, a retry
    cannot help."""


class TimeLimitError(UnseenError):
    """A stage went on past its limit: raise the limit, or find out what it hangs on."""
