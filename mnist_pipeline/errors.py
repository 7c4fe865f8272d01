"""What a user can cause or must know: one line that says what is wrong, with the value, and what to do.

The command line prints the message of a ``PipelineError`` without a traceback and exits with
its ``exit_code``. Anything else that is raised is a bug of this package.
"""

INTERRUPTED = "interrupted; the same command goes on where this one stopped"
"""Why a command ends that was told to (Ctrl-C)."""


class PipelineError(Exception):
    """The pipeline cannot go on; the message is one line for the user."""

    exit_code = 1


class UsageError(PipelineError):
    """An option, a config value or a name is not one that this program takes."""

    exit_code = 2


class StoppedError(PipelineError):
    """The user ended the command (Ctrl-C), and must know more than that the same command goes on."""

    exit_code = 130


class DataError(PipelineError):
    """Fetched or stored data is not what its description says. Never retried."""


class NetworkError(PipelineError):
    """A setting of the network, such as a proxy or trusted certificates, cannot be followed."""


class DownloadError(PipelineError):
    """A source could not be read, after every retry that made sense."""


class DeviceError(PipelineError):
    """The device that was asked for does not work on this machine."""


class TrainingError(PipelineError):
    """Training diverged or learned nothing."""


class ExportError(PipelineError):
    """The ONNX model breaks its contract or does not say what the Keras model says."""


class IntegrityError(PipelineError):
    """Stored bytes are not the bytes that were recorded, or must not be loaded at all."""


class RegistryError(PipelineError):
    """A version, an alias or a change of one is not possible."""


class StorageError(PipelineError):
    """An object store cannot be reached, or refuses."""


class MissingExtraError(PipelineError):
    """A part of this package was called whose optional dependencies are not installed.

    Args:
        what: what needs them.
        extra: their name in the package.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)  # what it is made of, so that it can be pickled

    def __str__(self) -> str:
        what, extra = self.args
        return f"{what} needs the '{extra}' extra; install it with: pip install 'mnist-pipeline[{extra}]'"
