"""Every domain error: a stable code, an HTTP status, an exit code, and a message that may be shown to anybody."""

from __future__ import annotations

import inspect
from typing import ClassVar


class CondaStoreHubError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str | None = None,
        *,
        detail: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        """Keep `message` (default: the class docstring); `line` and `column` count from 1 in the text as typed."""
        self.message = message or inspect.getdoc(type(self)) or type(self).__name__
        self.detail = detail
        self.line = line
        self.column = column
        super().__init__(self.message)

    @property
    def public_message(self) -> str:
        """The message with its place in the text, where there is one."""
        if self.line is None:
            return self.message
        place = f"line {self.line}" if self.column is None else f"line {self.line}, column {self.column}"
        return f"{self.message} ({place})"


# What a person asked for cannot be done as asked.


class InvalidRequestError(CondaStoreHubError):
    """The request cannot be understood."""

    code = "invalid-request"
    status = 400
    exit_code = 2


class InvalidNameError(InvalidRequestError):
    """The name is not allowed."""

    code = "invalid-name"


class InvalidDigestError(InvalidRequestError):
    """This is no digest: `sha256:` and 64 hexadecimal digits."""

    code = "invalid-digest"


class InvalidSpecificationError(InvalidRequestError):
    """The specification cannot be understood."""

    code = "invalid-specification"


class SpecificationTooLargeError(InvalidSpecificationError):
    """The specification is larger than 1 MB."""

    code = "specification-too-large"
    status = 413


class WatchedFileError(InvalidSpecificationError):
    """The file cannot be read as an environment."""

    code = "watched-file"


class PolicyRefusedError(InvalidRequestError):
    """The policy of this service does not allow this."""

    code = "policy-refused"


class NotAuthenticatedError(CondaStoreHubError):
    """Log in first: this needs a session or a token."""

    code = "not-authenticated"
    status = 401
    exit_code = 3


class LoginFailedError(CondaStoreHubError):
    """You are not logged in yet: this login was begun too long ago or in another browser, or the Hub was told no."""

    code = "login-failed"
    status = 403
    exit_code = 3


class ForbiddenError(CondaStoreHubError):
    """You do not have the right to do this."""

    code = "forbidden"
    status = 403
    exit_code = 4


class TokenTooStrongError(ForbiddenError):
    """A token cannot be made for more than one has."""

    code = "token-too-strong"
    status = 400  # conda-store's; of another its released client does not show the sentence


class NotFoundError(CondaStoreHubError):
    """There is no such thing, or you may not know of it."""

    code = "not-found"
    status = 404
    exit_code = 5


class UnknownRepositoryError(NotFoundError):
    """There is no repository of that name, or you may not know of it."""

    code = "unknown-repository"


class MethodNotAllowedError(CondaStoreHubError):
    """This address does not know that method."""

    code = "method-not-allowed"
    status = 405
    exit_code = 2


class LengthRequiredError(CondaStoreHubError):
    """The request's body has no Content-Length: send it whole, not in chunks."""

    code = "length-required"
    status = 411
    exit_code = 2


class RequestTooLargeError(CondaStoreHubError):
    """The request is larger than it may be."""

    code = "request-too-large"
    status = 413
    exit_code = 2


class ConflictError(CondaStoreHubError):
    """This contradicts what is there already."""

    code = "conflict"
    status = 409
    exit_code = 6


class EditConflictError(ConflictError):
    """Somebody else has changed this since you began; look at what they did, and submit yours again."""

    code = "edit-conflict"
    status = 412


class PreconditionFailedError(InvalidRequestError):
    """The file is not the one you asked for: its ETag is another."""

    code = "precondition-failed"
    status = 412


class FormUsedError(ConflictError):
    """This form was sent already."""

    code = "form-used"


class InUseError(ConflictError):
    """Something here is in use."""

    code = "in-use"


class QuotaExceededError(ConflictError):
    """There are as many builds here as there may be; delete some."""

    code = "quota-exceeded"


class GoneError(CondaStoreHubError):
    """This was deleted."""

    code = "gone"
    status = 410
    exit_code = 5


class RangeNotSatisfiableError(CondaStoreHubError):
    """The range asked for lies outside of what is there."""

    code = "range-not-satisfiable"
    status = 416
    exit_code = 2

    size: int | None = None
    """Bytes that there are."""

    @classmethod
    def behind(cls, size: int) -> RangeNotSatisfiableError:
        """Return the error of who asks for what is behind the end."""
        error = cls(f"There are {size} bytes; the range asked for lies outside of them.")
        error.size = size
        return error


# The service cannot do it now.


class UnavailableError(CondaStoreHubError):
    """The service cannot answer now; try again in a moment."""

    code = "unavailable"
    status = 503
    exit_code = 7

    seconds: int = 5
    """After how many to try again."""


class BeingMadeError(UnavailableError):
    """This is being made; ask again in a moment."""

    code = "being-made"


class FailedForNowError(UnavailableError):
    """This could not be made for now; ask again in a moment."""

    code = "failed-for-now"


class TooManyDownloadsError(UnavailableError):
    """You are being sent as many files at once as one may be; try again when one of them has ended."""

    code = "too-many-downloads"
    status = 429


class TooManyRequestsError(UnavailableError):
    """You have asked for as much as one may in this time."""

    code = "too-many-requests"
    status = 429

    @classmethod
    def until(cls, seconds: int, message: str) -> TooManyRequestsError:
        """Return the error of who may ask again then."""
        error = cls(message)
        error.seconds = seconds
        return error


class HubUnavailableError(UnavailableError):
    """The Hub does not answer, so nobody can be recognised; try again in a moment."""

    code = "hub-unavailable"


class StorageError(CondaStoreHubError):
    """The storage of artifacts failed."""

    code = "storage"
    status = 500


class DamagedError(StorageError):
    """The bytes in storage are not those that were stored."""

    code = "damaged"


class StorageDeniedError(StorageError):
    """The service may not use a file of its storage: an administrator has to give it to the service's account."""

    code = "storage-denied"
    status = 503


class StorageFullError(StorageError):
    """The disk is full: nothing was lost, but nothing more can be written until an administrator frees space."""

    code = "disk-full"
    status = 507


class ConfigurationError(CondaStoreHubError):
    """The configuration cannot work."""

    code = "configuration"
    exit_code = 78  # EX_CONFIG of sysexits.h


# A build failed. These travel as `error` events and end in the build's row; the status is for a dry run's answer.


class BuildError(CondaStoreHubError):
    """The build failed."""

    code = "build-failed"
    status = 422
    exit_code = 10


class SolveError(BuildError):
    """No set of packages satisfies the specification."""

    code = "unsatisfiable"


class PackageNotFoundError(SolveError):
    """A package of the specification is in none of its channels."""

    code = "package-not-found"


class ChannelUnavailableError(BuildError):
    """A channel could not be read."""

    code = "channel-unavailable"


class InstallError(BuildError):
    """A package could not be installed."""

    code = "install-failed"


class PackageCorruptError(InstallError):
    """A package is not what its channel says it is."""

    code = "package-corrupt"


class PipError(BuildError):
    """The pip part could not be installed."""

    code = "pip-failed"


class PipConflictError(PipError):
    """The pip part would replace a package that conda installed."""

    code = "pip-conflict"


class ArtifactError(BuildError):
    """An artifact of the build could not be made."""

    code = "artifact-failed"


class ArtifactNotNowError(ArtifactError):
    """An artifact of the build could not be made now; in a moment it may be."""

    code = "artifact-not-now"


class BuildDiskFullError(BuildError):
    """The disk filled up during the build."""

    code = "disk-full"


class BuildTimedOutError(BuildError):
    """The build took longer than it may."""

    code = "timed-out"


class LimitExceededError(BuildError):
    """The build needs more than it may take."""

    code = "limit-exceeded"


class BuilderDiedError(BuildError):
    """The builder ended without a result."""

    code = "builder-died"


class BuildLostError(BuildError):
    """Another worker has this build now."""

    code = "lost"


class BuildInterruptedError(BuildError):
    """The service stopped during the build more often than it is retried."""

    code = "interrupted"


# A kernel cannot start: raised in a user's Jupyter server, where the environment is used.


class ActivationError(CondaStoreHubError):
    """The environment could not be activated on this machine."""

    code = "activation-failed"
    exit_code = 11


# An environment cannot be made on this machine.


class LocalEnvironmentError(CondaStoreHubError):
    """The environment could not be made on this machine."""

    code = "local-environment"
    exit_code = 12


class LocalCacheDamagedError(LocalEnvironmentError):
    """The package cache of this machine is damaged."""

    code = "local-cache-damaged"


class MakingCancelledError(LocalEnvironmentError):
    """It was given up before the environment was made."""

    code = "local-environment-cancelled"


# A command that waits for a build ends without what it waited for.


class BuildCancelledError(CondaStoreHubError):
    """The build was cancelled."""

    code = "build-cancelled"
    exit_code = 13


class WaitTimedOutError(CondaStoreHubError):
    """It was not there in time."""

    code = "wait-timed-out"
    exit_code = 14
