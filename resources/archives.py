"""Files out of tar archives.

Belongs here: what of an archive may be written where. Does not belong here: what an archive holds (backup, revisions).
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path


def extract_files(archive: tarfile.TarFile, folder: Path) -> None:
    """The files of an archive into a folder, with their times and what their owner may do with them.

    Python itself can keep members inside of a folder only since 3.11.4; a common system comes with 3.11.2.

    Raises:
        tarfile.TarError: a member is neither file nor directory, or its name leads out of the folder.
    """
    inside = folder.resolve()
    inside.mkdir(parents=True, exist_ok=True)
    for member in archive:
        if member.isdir():
            continue
        target = (inside / member.name).resolve()
        content = archive.extractfile(member) if member.isreg() and target.is_relative_to(inside) else None
        if content is None:
            raise tarfile.TarError(f"{member.name} is no file, or leads out of the folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as written:
            shutil.copyfileobj(content, written)
        target.chmod(0o600 | (member.mode & 0o755))
        os.utime(target, (member.mtime, member.mtime))
