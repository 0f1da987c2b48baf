"""Give each volume of an installation a small disk, and fill such a disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from breaking import Heal
from docker.models.containers import Container

USER = 10001


@contextmanager
def small_disks(folder: Path, stack: str, megabytes: dict[str, int]) -> Iterator[str]:
    """Mount a disk for each volume; return the override of the compose file."""
    folder.mkdir(parents=True)
    mounted = []
    try:
        for volume, size in megabytes.items():
            image, place = folder / f"{volume}.img", folder / volume
            place.mkdir()
            with image.open("wb") as file:
                file.truncate(size * 2**20)
            # Nothing is kept for root, who fills the disk.
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
            subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
            mounted.append(place)
            (place / "lost+found").rmdir()
            os.chown(place, USER, USER)
        volumes = {
            volume: {
                "name": f"{stack}_{volume}",
                "driver": "local",
                "driver_opts": {"type": "none", "o": "bind", "device": str(folder / volume)},
            }
            for volume in megabytes
        }
        yield yaml.safe_dump({"volumes": volumes})
    finally:
        for place in mounted:
            subprocess.run(["umount", str(place)], check=True)


def fill_up(container: Container, folder: Path) -> Heal:
    """Fill the disk of each volume that a container writes; return what frees it."""
    names = [
        mount["Name"].rpartition("_")[2]
        for mount in container.attrs["Mounts"]
        if mount["Type"] == "volume" and mount["RW"]
    ]
    ballast = [folder / name / ".ballast" for name in names if (folder / name).exists()]
    assert ballast, names
    for file in ballast:
        while (free := os.statvfs(file.parent).f_bavail * os.statvfs(file.parent).f_bsize) > 0:
            with file.open("ab") as opened:
                end = os.fstat(opened.fileno()).st_size
                try:
                    os.posix_fallocate(opened.fileno(), end, free)
                except OSError:
                    break

    def free_up() -> None:
        for file in ballast:
            file.unlink()

    return free_up
