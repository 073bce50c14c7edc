"""The six kinds of refusal. A module's errors subclass one; `web.errors` knows their numbers."""


class FlowlinkError(Exception):
    """A refusal that its reader can understand.

    `message` is an English sentence (a gettext key) whose `%(name)s` places are filled from
    `params` after translation. `field` names the form field it is about, if any.
    """

    message = "Something is not right with this request."
    field: str | None = None

    def __init__(self, message: str | None = None, **params: object) -> None:
        self.message = message or type(self).message
        self.params = params
        super().__init__(self.message % params if params else self.message)


class NotSignedIn(FlowlinkError):
    message = "Please sign in first."


class NotFound(FlowlinkError):
    message = "There is nothing here."


class Forbidden(FlowlinkError):
    message = "You may not do this."


class Refused(FlowlinkError):
    """The request is well formed, but the state of things does not allow it."""

    message = "This cannot be done now."


class Invalid(FlowlinkError):
    """The request itself is wrong: its sender can mend it."""

    message = "Please check what you entered."


class LimitReached(FlowlinkError):
    """`retry_after_s`: in how many seconds the next attempt is open."""

    message = "Too many attempts. Please try again later."
    retry_after_s: int = 60
