"""Which of these files are no tests of this environment."""

collect_ignore = ["starfish_writer.py"]  # runs where Starfish is installed
