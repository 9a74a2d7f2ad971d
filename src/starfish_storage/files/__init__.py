"""Files and directories: written, synced, renamed and protected."""
