"""Whether clips and features belong together: whether the features were made from these very clips."""

from __future__ import annotations

from base.errors import DataError
from readers.store import Store


def check_belonging(clips: Store, features: Store) -> None:
    """Make sure that a store of features was made from a store of clips.

    Args:
        clips: what should be the store of clips.
        features: what should be a store of a view of them.

    Raises:
        DataError: one is a store of another kind, or the features were made from other clips.
    """
    if clips.view is not None:
        raise DataError(f"{clips.path} holds the view {clips.view.kind}, expected a store of clips, such as data/clips")
    if features.manifest.task is None:
        raise DataError(f"{features.path} holds clips, expected the features of a view")
    expected, found = features.manifest.task.clips_manifest_sha256, clips.manifest.sha256
    if expected != found:
        raise DataError(
            f"{features.path} was not made from {clips.path}: the manifest of its clips has the SHA-256 "
            f"{expected[:12]}…, this one has {found[:12]}…; give its clips, or make the features again"
        )
