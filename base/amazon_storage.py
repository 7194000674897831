"""Files of storage that speaks Amazon's protocol, by obstore: each in one request, retried for a while.

Credentials come from the usual environment alone: its variables, the files of `aws configure`, the machine's own role.
"""

from __future__ import annotations

import errno
import functools
import mmap
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError, NotSupportedError, PreconditionError
from obstore.store import S3Store

from base.errors import DataError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_LARGEST_BYTES: Final = 5 << 30
"""That one request can send or copy (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html). Uploads in
parts have no such limit, but leave their parts behind, and billed, where they are broken off."""
_PIECE_BYTES: Final = 8 << 20
_COPIED: Final = 8
"""Files that the server is asked to copy at once."""

_RETRIES: Final[RetryConfig] = {
    "max_retries": 10,
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 3},
    "retry_timeout": timedelta(minutes=3),
}
"""The waits, which are drawn at random, come to 10 to 20 s."""
_FINAL: Final = ("status code", " retries, ")
"""What obstore says where a server has answered, and where it has made a request again as often as it is told to."""
_MORE_ATTEMPTS: Final = 4
"""Where a connection breaks in a way that obstore does not take up itself."""
_CONNECT_SECONDS: Final = 10
_SILENCE_SECONDS: Final = 60
"""Without more of an answer. A file that is sent, or copied by the server, is answered at its end alone."""
_LONGEST_SECONDS: Final = 3600

_ASKED_AGAIN: Final = timedelta(minutes=5)
"""How long credentials are used before botocore is asked, which renews those that end."""

_NOT_THERE: Final = ("501 Not Implemented", "NotImplemented")
"""What a server answers that has no such request."""

_first_process: int | None = None

T = TypeVar("T")


class Bucket:
    """A bucket, with those of fsspec's methods that the project uses; paths are keys."""

    def __init__(self, name: str) -> None:
        """Set up a client; it asks for nothing yet.

        Raises:
            DataError: there are no credentials, or this process is a fork of one that has used such storage.
        """
        self._store = _client(name, _SILENCE_SECONDS)
        self._patient = _client(name)

    def cat_file(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """The content of a file, or of a range of it, which ends where the file does."""
        if start is None or end is None:
            return _again(lambda: bytes(obstore.get(self._store, key).bytes()))
        return _again(lambda: bytes(obstore.get_range(self._store, key, start=start, end=end)))

    def get_file(self, key: str, target: str) -> None:
        """Copy a file to a local one."""

        def copy() -> None:
            with open(target, "wb") as file:
                for piece in obstore.get(self._store, key).stream(min_chunk_size=_PIECE_BYTES):
                    file.write(piece)

        _again(copy)

    def pipe_file(self, key: str, data: bytes | mmap.mmap) -> None:
        """Write a file."""
        _again(lambda: obstore.put(self._patient, key, data, use_multipart=False))

    def put_file(self, source: str, key: str) -> None:
        """Write what a local file holds, which memory does not.

        Raises:
            DataError: it is too large.
        """
        with open(source, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > _LARGEST_BYTES:
                raise DataError(f"{key}: got {size} bytes, expected 5 GiB at most on s3://: take more shards")
            if size == 0:
                self.pipe_file(key, b"")
            else:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    self.pipe_file(key, content)

    def put(self, sources: Sequence[str], keys: Sequence[str], batch_size: int) -> None:
        """Write what several local files hold, as many at once as `batch_size` says."""
        _at_once(self.put_file, sources, keys, batch_size)

    def info(self, key: str) -> dict[str, Any]:
        """Size and mark of a file."""
        found = _again(lambda: obstore.head(self._store, key))
        return {"name": key, "type": "file", "size": found["size"], "ETag": found["e_tag"]}

    def ls(self, key: str, detail: bool = True) -> list[dict[str, Any]]:
        """The files and folders directly in a folder."""
        found = _again(lambda: obstore.list_with_delimiter(self._store, key.rstrip("/") or None))
        folders = [{"name": each, "type": "directory", "size": 0} for each in found["common_prefixes"]]
        return [*folders, *({"name": each["path"], "type": "file", "size": each["size"]} for each in found["objects"])]

    def find(self, key: str) -> list[str]:
        """The keys of all files below a folder, and that of a file of this name, which may not be there."""
        prefix = key.rstrip("/") or None
        found = _again(lambda: [each["path"] for some in obstore.list(self._store, prefix) for each in some])
        return [*found, *([key] if key else [])]

    def rm(self, keys: Sequence[str]) -> None:
        """Delete files, those that are there, a thousand in a request."""
        if keys:
            _again(lambda: obstore.delete(self._store, list(keys)))

    def copy(self, sources: Sequence[str], keys: Sequence[str]) -> None:
        """Have the server copy files, some at once."""
        _at_once(lambda source, key: _again(lambda: obstore.copy(self._patient, source, key)), sources, keys, _COPIED)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless there is one, such that of several who do so at once, one alone succeeds.

        Returns:
            Whether it was written; False too where it was, and the answer was lost.

        Raises:
            NotImplementedError: the server has no such request.
        """
        try:
            _again(lambda: obstore.put(self._store, key, data, mode="create", use_multipart=False))
        except AlreadyExistsError:
            return False
        except (NotSupportedError, GenericError) as error:
            if isinstance(error, NotSupportedError) or any(each in str(error) for each in _NOT_THERE):
                raise NotImplementedError(str(error)) from error
            raise
        return True

    def marked(self, key: str) -> tuple[bytes, str]:
        """The content of a file, and the mark by which `replace` knows it."""

        def get() -> tuple[bytes, str]:
            found = obstore.get(self._store, key)
            return bytes(found.bytes()), str(found.meta["e_tag"])

        return _again(get)

    def replace(self, key: str, data: bytes, mark: str) -> str:
        """Write a file in place of the one that has a mark.

        Returns:
            The mark of the new one.

        Raises:
            FileExistsError: there is another one now, or none; or it was written, and the answer was lost.
        """
        try:
            done = _again(lambda: obstore.put(self._store, key, data, mode={"e_tag": mark}, use_multipart=False))
        except (PreconditionError, AlreadyExistsError, FileNotFoundError) as error:
            raise FileExistsError(errno.EEXIST, "another has written it", key) from error
        return str(done["e_tag"])


@functools.cache
def bucket(name: str) -> Bucket:
    """The bucket of a name, whose connections all calls share."""
    return Bucket(name)


def check_process() -> None:
    """Make sure that this process can use such storage.

    Raises:
        DataError: it is a fork of one that has: the threads that would answer are only there, it would wait forever.
    """
    global _first_process
    _first_process = _first_process or os.getpid()
    if _first_process != os.getpid():
        raise DataError(
            "s3:// can't be read by a process that was forked from one that has read it: start processes by "
            '"forkserver" or "spawn", such as DataLoader(..., multiprocessing_context="forkserver")'
        )


def _client(name: str, silence_seconds: float = _LONGEST_SECONDS) -> S3Store:
    own = {} if "AWS_ACCESS_KEY_ID" in os.environ else _of_profile()
    endpoint = own.get("endpoint") or next(
        (os.environ[each] for each in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if os.environ.get(each)), ""
    )
    is_plain = endpoint.startswith("http://")
    options: ClientConfig = {
        "allow_http": is_plain,
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=silence_seconds),
        "timeout": timedelta(seconds=_LONGEST_SECONDS),
    }
    return S3Store(
        name,
        client_options=options,
        retry_config=_RETRIES,
        unsigned_payload=not is_plain,  # TLS vouches for it
        **own,
    )


def _of_profile() -> dict[str, Any]:
    """Credentials, region and address where no variable has them: from `aws configure`, or of the machine."""
    from botocore.session import Session

    session = Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise DataError("s3:// needs credentials, and there are none: run `aws configure`, or set AWS_ACCESS_KEY_ID")

    def current() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASKED_AGAIN,
        }

    found = {
        "region": session.get_config_variable("region"),
        "endpoint": session.get_scoped_config().get("endpoint_url"),
    }
    return {"credential_provider": current, **{name: value for name, value in found.items() if value}}


def _at_once(call: Callable[[str, str], object], firsts: Sequence[str], seconds: Sequence[str], count: int) -> None:
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(call, firsts, seconds))


def _again(call: Callable[[], T]) -> T:
    """What a call gives, which is made again where its connection broke; no server has said no to it."""
    for attempt in range(_MORE_ATTEMPTS):
        try:
            return call()
        except GenericError as error:
            if any(each in str(error) for each in _FINAL):
                raise
            time.sleep(random.uniform(0.5, 1.0) * 0.2 * 2**attempt)
    return call()
