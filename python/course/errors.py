"""The error that ends a command: one sentence for a person, exit status 2 unless told otherwise."""


class CourseError(Exception):
    """Something in the input or on this machine is wrong; the text says what would be right."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
