"""Network file systems, and those in memory: which are known, how the list of mounts is read, the warnings at setup."""

import asyncio
import ctypes
import logging
import os
import sys
import warnings
from pathlib import Path

import pytest

from cli.calling import call
from durability.file_systems import Mounted, cannot_mount
from starfish_storage import LocalStorage, NetworkFileSystemWarning, VolatileFileSystemWarning
from starfish_storage.data import mounts
from starfish_storage.data.mounts import file_system_type, is_network_file_system

# As such machines list their mounts: a laptop, a container, a login node of a cluster, WSL 2.
LAPTOP = r"""
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
28 27 0:25 / /tmp rw,nosuid,nodev shared:2 - tmpfs tmpfs rw,size=8159416k
60 27 0:47 / /home/ann/remote rw,nosuid,nodev,relatime shared:31 - fuse.sshfs ann@host:/data rw,user_id=1000
61 27 0:48 / /media/ann/My\040Drive\011x rw,relatime shared:32 - fuseblk /dev/sdb1 rw,user_id=0,allow_other
62 27 0:49 / /media/ann/back\134slash rw,relatime - cifs //server/share rw,vers=3.1.1,username=ann
63 27 0:50 / /srv/stärke rw,relatime - nfs4 host:/x rw,vers=4.2
"""
CONTAINER = r"""
1283 1042 0:146 / / rw,relatime master:412 - overlay overlay rw,lowerdir=/var/lib/a:/var/lib/b - c,upperdir=/u
1284 1283 0:149 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1296 1283 0:60 /volumes/pvc-1/data /data rw,relatime - ceph 10.0.0.1:6789:/volumes rw,name=k8s,acl
1297 1296 259:1 /lib/local /data/local rw,relatime - xfs /dev/nvme0n1p1 rw,attr2
"""
CLUSTER = r"""
25 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/root rw,seclabel
41 25 0:37 / /home rw,relatime shared:21 - autofs /etc/auto.home rw,fd=5,pgrp=1,timeout=300
77 41 0:71 / /home/bob rw,relatime shared:40 - nfs filer:/export/home/bob rw,vers=3,proto=tcp
78 25 0:72 / /scratch rw,relatime shared:41 - lustre 10.1.1.1@o2ib:/scratch rw,flock
79 25 0:73 / /work rw,relatime shared:42 - gpfs work rw
80 25 0:74 / /fast rw,relatime shared:43 - nfs filer:/fast rw
81 80 8:17 / /fast rw,relatime shared:44 - ext4 /dev/sdb1 rw
"""
WSL = r"""
70 60 8:48 / / rw,relatime - ext4 /dev/sdd rw,discard
90 70 0:55 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs;path=C:\;uid=1000,trans=fd
"""
MOVED = "90 70 0:55 / /mnt/c rw - 9p C: rw\n70 60 8:48 / / rw - ext4 /dev/sdd rw\n"
BROKEN = "\n36 35 98:0\nno mount at all\n27 1 254:0 / /\n27 1 254:0 / / rw - \n27 1 254:0 / / rw - ext4 /dev/x rw\n"


@pytest.mark.parametrize(
    ("text", "path", "kind"),
    [
        (LAPTOP, "/home/ann/store", "ext4"),
        (LAPTOP, "/", "ext4"),
        (LAPTOP, "/tmp/x", "tmpfs"),
        (LAPTOP, "/tmpx", "ext4"),
        (LAPTOP, "/home/ann/remote", "fuse.sshfs"),
        (LAPTOP, "/home/ann/remote/store", "fuse.sshfs"),
        (LAPTOP, "/home/ann/remote2/store", "ext4"),
        (LAPTOP, "/media/ann/My Drive\tx/store", "fuseblk"),
        (LAPTOP, "/media/ann/back\\slash/store", "cifs"),
        (LAPTOP, "/srv/stärke/a/b", "nfs4"),
        (CONTAINER, "/store", "overlay"),
        (CONTAINER, "/data/store", "ceph"),
        (CONTAINER, "/data/local/store", "xfs"),
        (CONTAINER, "/data/locality", "ceph"),
        (CLUSTER, "/home/bob/store", "nfs"),
        (CLUSTER, "/home/eve", "autofs"),
        (CLUSTER, "/scratch/bob", "lustre"),
        (CLUSTER, "/work/bob", "gpfs"),
        (CLUSTER, "/fast/bob", "ext4"),
        (WSL, "/mnt/c/Users/bob", "9p"),
        (WSL, "/mnt/d", "ext4"),
        (MOVED, "/mnt/c/x", "9p"),
        (BROKEN, "/x", "ext4"),
        ("", "/x", None),
    ],
)
def test_the_list_of_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, path: str, kind: str | None
) -> None:
    (tmp_path / "mountinfo").write_text(text.removeprefix("\n"))
    monkeypatch.setattr(mounts, "MOUNTS_FILE", str(tmp_path / "mountinfo"))
    assert file_system_type(path) == kind


def test_where_there_is_no_list_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNTS_FILE", str(tmp_path / "none"))
    assert file_system_type("/") is None


REMOTE = (
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph glusterfs lustre gpfs beegfs davfs fuse.sshfs fuse.s3fs fuse.gcsfuse "
    "fuse.rclone fuse.glusterfs fuse.davfs2 fuse.juicefs NFS4"
)
LOCAL = (
    "ext4 ext3 xfs btrfs zfs tmpfs overlay f2fs bcachefs apfs hfs fuseblk fuse fuse.ntfs-3g fuse.mergerfs fuse.encfs "
    "fuse.unknown squashfs vfat exfat ecryptfs nfsd autofs"
)


def test_which_are_network_file_systems() -> None:
    assert [kind for kind in REMOTE.split() if not is_network_file_system(kind)] == []
    assert [kind for kind in LOCAL.split() if is_network_file_system(kind)] == []


def list_mount(monkeypatch: pytest.MonkeyPatch, file: Path, **kinds: str) -> None:
    """Let the system's list say that directories beside ``file`` lie on file systems of these types."""
    lines = ["27 1 254:0 / / rw - ext4 /dev/vda1 rw"]
    lines += [f"60 27 0:47 / {file.parent / name} rw - {kind} server:/x rw" for name, kind in kinds.items()]
    file.write_text("\n".join(lines))
    monkeypatch.setattr(mounts, "MOUNTS_FILE", str(file))


async def test_setup_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    list_mount(monkeypatch, tmp_path / "mountinfo", store="nfs4")
    storage = LocalStorage((tmp_path / "store").as_uri())
    with pytest.warns(NetworkFileSystemWarning) as caught:
        await storage.setup()
    await storage.setup()  # open already: nothing to say
    (warning,) = caught
    (logged,) = caplog.records
    assert (logged.levelno, logged.name) == (logging.WARNING, "starfish_storage.data.mounts")
    for message in (str(warning.message), logged.getMessage()):
        for part in (str(tmp_path / "store"), "(nfs4)", "locks between machines", "shared memory", "fsync", "local"):
            assert part in message
    await storage.close()
    with pytest.warns(NetworkFileSystemWarning):
        await storage.setup()
    await storage.close()


async def test_setup_warns_of_the_data_directory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_mount(monkeypatch, tmp_path / "mountinfo", data="fuse.s3fs")
    storage = LocalStorage((tmp_path / "store").as_uri(), (tmp_path / "data").as_uri())
    with pytest.warns(NetworkFileSystemWarning, match=r"data'.*fuse\.s3fs") as caught:
        await storage.setup()
    assert len(caught) == 1
    await storage.close()


async def test_setup_warns_of_where_a_link_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "remote")
    list_mount(monkeypatch, tmp_path / "mountinfo", remote="cifs")
    storage = LocalStorage((tmp_path / "link/store").as_uri())
    with pytest.warns(NetworkFileSystemWarning, match="cifs"):
        await storage.setup()
    await storage.close()


async def test_setup_says_nothing_of_local_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    list_mount(monkeypatch, tmp_path / "mountinfo", beside="nfs4", stor="nfs4", store="btrfs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with LocalStorage((tmp_path / "store").as_uri()):
            pass
    assert caplog.records == []


async def test_where_warnings_are_errors_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_mount(monkeypatch, tmp_path / "mountinfo", store="nfs4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NetworkFileSystemWarning):
            await LocalStorage((tmp_path / "store").as_uri()).setup()
    assert list((tmp_path / "store").iterdir()) == []


async def test_what_lies_in_memory_is_not_safe_from_power_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    list_mount(monkeypatch, tmp_path / "mountinfo", store="tmpfs", data="ramfs")
    with pytest.warns(VolatileFileSystemWarning) as caught:
        async with LocalStorage(tmp_path / "store", tmp_path / "data"):
            pass
    assert [record.getMessage() for record in caplog.records] == [str(one.message) for one in caught]
    for message, name, kind in zip(caplog.messages, ("store", "data"), ("tmpfs", "ramfs"), strict=True):
        assert message.startswith(f"durability='power' cannot be kept for the store at {str(tmp_path / name)!r}")
        assert f"({kind})" in message
        assert "durability='process'" in message


async def test_who_asks_for_less_or_only_reads_is_not_warned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_mount(monkeypatch, tmp_path / "mountinfo", store="tmpfs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with LocalStorage(tmp_path / "store", durability="process"):
            pass
        async with LocalStorage(tmp_path / "store", read_only=True):
            pass
        assert (await asyncio.to_thread(call, "runs", "--store", str(tmp_path / "store"))).err == ""
        with pytest.raises(VolatileFileSystemWarning):
            await LocalStorage(tmp_path / "store").setup()


async def test_a_store_that_really_lies_in_memory(tmp_path: Path) -> None:
    reason = cannot_mount()
    if reason:
        pytest.skip(reason)
    memory = Mounted("tmpfs", tmp_path / "memory", "tmpfs", "size=8m")
    try:
        with pytest.warns(VolatileFileSystemWarning, match="tmpfs"):
            async with LocalStorage(memory.path / "store"):
                pass
    finally:
        memory.give_up()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_file_system_that_is_really_mounted(tmp_path: Path) -> None:
    point = tmp_path / "mount point\\with\tblanks"
    point.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"/dev/fuse cannot be opened: {error}")
    try:
        # Nobody answers for this file system: whoever touched it would hang, and its type is known all the same.
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"server:/x", os.fsencode(point), b"fuse.sshfs", 0, options.encode()) != 0:
            pytest.skip(f"a file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")
        try:
            kind, beside = file_system_type(f"{point}/store"), file_system_type(str(tmp_path))
        finally:
            detach = 2
            assert libc.umount2(os.fsencode(point), detach) == 0
    finally:
        os.close(server)
    assert kind == "fuse.sshfs"
    assert is_network_file_system(kind)
    assert beside is not None
    assert not beside.startswith("fuse")
