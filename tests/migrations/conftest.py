"""Which of these files are no tests of this environment."""

collect_ignore = ["starfish_writer.py", "starfish_damage.py"]  # run where Starfish is installed
