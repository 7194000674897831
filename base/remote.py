"""Files of remote file systems, by fsspec: in few requests, retried by its libraries, refused in one sentence.

Credentials come from the usual environment of each library alone. A request that a server refuses for the moment, or
whose connection breaks, is made again by the library, after a while that grows.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, BinaryIO, Final, NamedTuple, cast

from base.errors import DataError

MARK: Final = "://"
"""What the path of a remote file has, and no other."""

_BLOCK_BYTES: Final = 16 << 20
"""What a file that is read in order is asked for at once."""
_AT_ONCE_BYTES: Final = 1 << 20
"""Up to this size a file is sent from memory."""
_DELETED_AT_ONCE: Final = 1000

_S3: Final = ("s3", "s3a")
_OBJECT_STORES: Final = (*_S3, "gs", "gcs", "abfs", "abfss", "az", "oss")
"""Protocols of storage that has no folders."""

_RENAMING: Final = ("hdfs",)
"""Protocols of storage that gives files other names without a copy."""

_ATTEMPTS: Final = 5
_ATTEMPTS_VARIABLES: Final = ("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE")
_SECRET: Final = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_LIBRARIES: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hdfs": "libhdfs and Java"}


class _Place(NamedTuple):
    """A path of a file system of fsspec."""

    system: Any
    path: str


def protocol(path: str) -> str:
    """What the path begins with, such as "s3"."""
    return path.partition(MARK)[0]


def _place(path: str, **options: Any) -> _Place:
    if _SECRET.search(path):
        raise DataError(f"{without_secrets(path)} has a password in its address: leave it to the environment")
    import fsspec  # slow to import, and of no use to local work

    system, inner = fsspec.core.url_to_fs(path, **{"use_listings_cache": False, **_options(path), **options})
    return _Place(system, inner)


def _options(path: str) -> dict[str, Any]:
    if protocol(path) not in _S3:
        return {}
    options: dict[str, Any] = {"max_concurrency": 1}  # no question for the size first; one part in memory
    if not any(name in os.environ for name in _ATTEMPTS_VARIABLES):
        options["config_kwargs"] = {"retries": {"mode": "standard", "max_attempts": _ATTEMPTS}}
    return options


def without_secrets(text: str) -> str:
    """A text whose addresses show no user and password."""
    return _SECRET.sub("***@", text)


@contextlib.contextmanager
def _told_of(path: str) -> Iterator[None]:
    """Give what a library raises in the block the path, and the form of a fault that a user can mend.

    Raises:
        OSError: the file system says no; FileNotFoundError where there is no such file.
        DataError: it can't be reached, or its library is not installed.
    """
    try:
        yield
    except (DataError, MemoryError, NotImplementedError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except PermissionError as error:
        raise PermissionError(errno.EACCES, f"{_said(error)}: {path}") from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, _said(error), path) from error
    except ImportError as error:
        library = _LIBRARIES.get(protocol(path), "its library for fsspec")
        raise DataError(f"{path} can't be opened ({_said(error)}): install {library}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {_said(error)}"
        raise DataError(f"{path} can't be reached ({said}): check its address, and the credentials") from error


def _said(error: BaseException) -> str:
    return without_secrets(getattr(error, "strerror", None) or str(error) or type(error).__name__)


class _Reader(io.RawIOBase):
    """A file, of which each read asks for a range."""

    def __init__(self, path: str, size: int) -> None:
        self.name, self._size, self._at = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = read_range(self.name, self._at, min(self._at + len(buffer), self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = read_range(self.name, self._at, self._size)
        self._at += len(data)
        return data


def open_for_reading(path: str, size: int | None = None) -> BinaryIO:
    """Open a file to be read in order: what is read in small pieces comes in blocks.

    Args:
        path: the file.
        size: its bytes where they are known, which spares a request.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = file_size(path) if size is None else size
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return cast("BinaryIO", io.BufferedReader(_Reader(path, found), max(1, min(_BLOCK_BYTES, found))))


def read_bytes(path: str) -> bytes:
    """The whole content of a file, in one request."""
    with _told_of(path):
        place = _place(path)
        data: bytes = place.system.cat_file(place.path)
    return data


def read_range(path: str, start: int, stop: int) -> bytes:
    """Some bytes of a file, fewer only where the range is empty.

    Raises:
        OSError: the file is shorter.
    """
    if stop <= start:
        return b""
    with _told_of(path):
        place = _place(path)
        data: bytes = place.system.cat_file(place.path, start=start, end=stop)
        if len(data) != stop - start:
            raise OSError(errno.EIO, f"{len(data)} bytes came, expected {stop - start}")
    return data


def fetch(path: str, target: str) -> None:
    """Copy a file to a local one, in one request."""
    with _told_of(path):
        place = _place(path)
        place.system.get_file(place.path, target)


def write_bytes(path: str, data: bytes) -> None:
    """Write a file, in one request; nothing sees half of it on object storage."""
    with _told_of(path):
        place = _place(path)
        place.system.pipe_file(place.path, data)


@contextlib.contextmanager
def published(path: str) -> Iterator[BinaryIO]:
    """Collect a file here and send it when the block ends without an error."""
    with tempfile.NamedTemporaryFile() as whole:
        yield cast("BinaryIO", whole)
        send(whole, path)


def send(file: IO[bytes], path: str) -> None:
    """Write what an open local file with a name holds, in one request up to 100 MB and in parts of 50 MB above."""
    file.flush()
    if file.seek(0, os.SEEK_END) <= _AT_ONCE_BYTES:
        file.seek(0)
        write_bytes(path, file.read())
        return
    with _told_of(path):
        place = _place(path)
        place.system.put_file(file.name, place.path)


def file_size(path: str) -> int | None:
    """Bytes of a file, or None where there is none."""
    state = file_state(path)
    return state and state[0]


def file_state(path: str) -> tuple[int, str] | None:
    """Bytes of a file, and what changes with its content or its date; None where there is no file."""
    with _told_of(path):
        place = _place(path)
        try:
            facts = place.system.info(place.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    mark = next((facts[key] for key in ("ETag", "etag", "LastModified", "mtime", "created") if facts.get(key)), "")
    return (int(facts["size"]), str(mark)) if facts["type"] == "file" else None


def sizes(folder: str) -> dict[str, int]:
    """Bytes of the files and folders directly in a folder by their names, 0 of folders; none where there is none."""
    with _told_of(folder):
        place = _place(folder)
        try:
            found = place.system.ls(place.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
    own = place.path.rstrip("/")
    paths = {each["name"].rstrip("/"): each for each in found}
    return {name.rpartition("/")[2]: int(each["size"] or 0) for name, each in paths.items() if name != own}


def below(folder: str) -> list[str]:
    """The paths of all files in a folder and below it."""
    with _told_of(folder):
        place = _place(folder)
        found = place.system.find(place.path)
    own = place.path.rstrip("/")
    return [f"{folder.rstrip('/')}{each.removeprefix(own)}" for each in found if each != own]


def remove(path: str) -> None:
    """Delete a file, or a folder with all that it holds, where there is one."""
    with _told_of(path):
        place = _place(path)
        _delete(place.system, place.system.find(place.path))
        if protocol(path) not in _OBJECT_STORES and place.system.exists(place.path):
            inner = place.system.find(place.path, withdirs=True)
            for folder in sorted({*inner, place.path}, key=len, reverse=True):
                place.system.rmdir(folder)


def remove_files(paths: Sequence[str]) -> None:
    """Delete files of one file system, those that are there, many in one request where it can do so."""
    if not paths:
        return
    with _told_of(paths[0]):
        places = [_place(path) for path in paths]
        _delete(places[0].system, [place.path for place in places])


def _delete(system: Any, paths: Sequence[str]) -> None:
    literal = [path for path in paths if not re.search(r"[*?\[]", path)]  # `rm` takes others for patterns
    if isinstance(system.protocol, tuple | list) and set(_S3) & set(system.protocol):
        for start in range(0, len(literal), _DELETED_AT_ONCE):
            system.rm(literal[start : start + _DELETED_AT_ONCE])
        paths = [path for path in paths if path not in set(literal)]
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            system.rm_file(path)


def move(source: str, target: str) -> None:
    """Give a file another name, in place of the file that has it: by the server, which copies it where it must."""
    with _told_of(source):
        one, other = _place(source), _place(target)
        if protocol(source) not in _OBJECT_STORES:
            one.system.makedirs(other.path.rpartition("/")[0], exist_ok=True)
        if protocol(source) in _RENAMING:
            with contextlib.suppress(FileNotFoundError):
                one.system.rm_file(other.path)
            one.system.mv(one.path, other.path)
        else:
            one.system.cp_file(one.path, other.path)
            _delete(one.system, [one.path])


def move_files(source: str, target: str, names: Sequence[str]) -> None:
    """Move files from one folder to another, as `move` does; object storage keeps the old ones, to be removed later."""
    if protocol(source) not in _OBJECT_STORES:
        for name in names:
            move(f"{source}/{name}", f"{target}/{name}")
        return
    with _told_of(source):
        # its own list of the folder has the sizes, for which each file would be asked
        one, other = _place(source, use_listings_cache=True, skip_instance_cache=True), _place(target)
        one.system.ls(one.path)
        one.system.copy([f"{one.path}/{name}" for name in names], [f"{other.path}/{name}" for name in names])


def create(path: str, data: bytes) -> bool:
    """Write a file unless there is one, such that of several who do so at once, one alone succeeds.

    Returns:
        Whether it was written.

    Raises:
        NotImplementedError: the file system has no such request.
    """
    with _told_of(path):
        place = _place(path)
        try:
            place.system.pipe_file(place.path, data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError) as error:
            raise NotImplementedError(str(error)) from error
    return True


def read_marked(path: str) -> tuple[bytes, str] | None:
    """The content of a small file, and the mark by which `replace` knows it; None where there is no file."""
    with _told_of(path):
        place = _place(path)
        try:
            mark = place.system.info(place.path)["ETag"] if protocol(path) in _S3 else ""
            return place.system.cat_file(place.path), mark  # the mark is no newer than the content
        except FileNotFoundError:
            return None


def replace(path: str, data: bytes, mark: str) -> None:
    """Write a file in place of one that `read_marked` gave; elsewhere than on Amazon's storage in place of any.

    Raises:
        FileExistsError: there is another one now, or none.
    """
    with _told_of(path):
        place = _place(path)
        if not mark:
            place.system.pipe_file(place.path, data)
            return
        try:
            place.system.pipe_file(place.path, data, IfMatch=mark)
        except OSError as error:
            if error.errno == errno.EINVAL or isinstance(error, FileExistsError | FileNotFoundError):
                raise FileExistsError(errno.EEXIST, "another has written it", path) from error
            raise


def end_uploads(folder: str) -> int:
    """Have a store forget uploads in parts that nobody will end, below a folder; how many there were.

    Amazon's keeps and bills their parts until then. Google's forgets them after a week by itself.
    """
    if protocol(folder) not in _S3:
        return 0
    with _told_of(folder):
        place = _place(folder)
        bucket, prefix, _ = place.system.split_path(f"{place.path.rstrip('/')}/")
        answer: Mapping[str, Any] = place.system.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
        uploads = answer.get("Uploads", [])
        for each in uploads:
            place.system.call_s3("abort_multipart_upload", Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
    return len(uploads)
