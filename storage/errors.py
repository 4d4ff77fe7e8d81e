# ruff: noqa: N818 - the names say what happened; the root says that they are errors
"""What can go wrong with a promise, and what it means for the caller.

    StorageError
    ├── DatabaseError   the database cannot be used; the sentence names the file and the mend
    │   ├── Full        no room on the disk: nothing was kept, accept it again later
    │   └── PlaceTaken  another node works with the database: this one must end
    ├── Conflict        a row contradicts another: a constraint of the schema refused the transaction
    ├── LeaseLost       someone else has the job now: drop the result
    ├── IllegalMove     the state table does not know this step
    ├── Unknown         no such job or delivery (any more)
    ├── OutsideArchive  a file name that does not stay inside the archive
    └── BucketError     a bucket cannot be used as the configuration says; the sentence names the mend
    OSError
    └── FilesUnavailable  the server that has the files cannot be used now: again, later

No message holds a patient's name, a birth date or the parameters of a statement.
"""


class StorageError(Exception):
    """Root of all errors of this room; the transaction that raised it has changed nothing."""


class DatabaseError(StorageError):
    """The database cannot be used; the message names the file and what to do."""


class Full(DatabaseError):
    """The disk has no room left; nothing was kept."""


class PlaceTaken(DatabaseError):
    """Another node works with the database, which has taken over what this one had: this one must end."""


class Conflict(StorageError):
    """A constraint of the schema refused the transaction."""


class LeaseLost(StorageError):
    """The job is no longer held under this lease; its result must be dropped."""

    def __init__(self, job_id: int) -> None:
        super().__init__(
            f"the lease of job {job_id} was lost: someone else has the job, or nobody needs it now"
        )


class IllegalMove(StorageError):
    """The state table has no such step."""

    def __init__(self, subject: str, state: str, event: str) -> None:
        super().__init__(f"a {subject} that is {state} cannot be {event}")


class Unknown(StorageError):
    """There is no row of that name."""


class OutsideArchive(StorageError):
    """A file name that is absolute or leads out of the archive."""


class BucketError(StorageError):
    """A bucket cannot be used until somebody mends it; the message names it and what to do."""


class FilesUnavailable(OSError):
    """The server that has the files cannot be used now: again, later, as where a disk fails."""

    def __str__(self) -> str:
        """Return the sentence alone."""
        return str(self.strerror)
