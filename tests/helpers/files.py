"""Checksums of folders, and processes without root's privileges."""

import ctypes
import hashlib
import os

from ffpp_tools.store import merge_stamps


def hashes(root):
    """Path → SHA-256 of every file except merged.json, which contains other files' times."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != merge_stamps.FILE
    }


PR_CAPBSET_DROP = 24


def without_privileges():
    """Make file permissions apply to root as well."""
    libc, capabilities = ctypes.CDLL(None, use_errno=True), (1, 2)  # DAC_OVERRIDE, DAC_READ_SEARCH
    for capability in capabilities if os.geteuid() == 0 else ():
        if libc.prctl(PR_CAPBSET_DROP, capability):
            raise OSError(ctypes.get_errno(), "prctl")
