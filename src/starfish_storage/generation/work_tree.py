"""The git work tree that a file lies in: its commit, and whether anything in it has changed since."""

from __future__ import annotations

import os
import subprocess

_PATIENCE_SECONDS = 2.0  # for a tree of a million files, or one on a server that has gone
_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=dirty")
_COMMIT_LINE = "# branch.oid "
# A repository's monitor is not run (its filters are, for files that were touched), no lock is taken, and what git says
# is not translated.
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")


def root_of(directory: str) -> str | None:
    """Return the root of the work tree that a directory lies in; None if it lies in none."""
    while True:
        if os.path.exists(os.path.join(directory, ".git")):
            return directory
        above = os.path.dirname(directory)
        if above == directory:
            return None
        directory = above


def commit_of(root: str) -> dict[str, object] | None:
    """Return the commit of a work tree and whether the files that git knows are as in it; never fails.

    Returns:
        ``{"commit": ..., "clean": ...}``; ``clean`` is None if looking at the files takes too long. None without git
        or a commit.
    """
    status = _said(root, *_STATUS)
    if status is None:
        commit = (_said(root, "rev-parse", "--verify", "HEAD") or "").strip()
        return {"commit": commit, "clean": None} if commit else None
    lines = status.splitlines()
    commit = next((line.removeprefix(_COMMIT_LINE) for line in lines if line.startswith(_COMMIT_LINE)), "")
    if not commit or commit.startswith("("):  # "(initial)"
        return None
    return {"commit": commit, "clean": all(line.startswith("#") for line in lines)}


def _said(root: str, *words: str) -> str | None:
    """Return what git prints, or None if it fails, or has not ended after a while."""
    try:
        done = subprocess.run(  # noqa: S603 (no shell, fixed words)
            (*_GIT, "-C", root, *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_SECONDS,
            check=True,
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
