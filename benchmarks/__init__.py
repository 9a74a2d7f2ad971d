"""Measures the library against Starfish's own storage and against a loop that does the same work without a library.

Run it from the project's root with ``python -m benchmarks`` (or ``make bench``); ``--help`` lists the options.

How it measures, and why so:

- **Contestants.** `ours` is this library, `peer` is ``LocalStorage`` of starfish-core in a virtual environment of its
  own, `raw_loop` is the durable work alone. Each is a process that stays up for the whole run and does one *turn* at a
  time while the others wait.
- **Turns.** Contestants take turns round by round (A B C A B C ...), so that a drift of the machine hits all alike.
  Ratios are taken within a round; the median of the rounds is quoted, with the smallest and the largest.
- **Nothing is deleted before the end.** On ext4, deleting many files makes later file creation up to 20 times
  slower for minutes, because freed inodes are found and used again one by one. So every turn writes to a fresh
  directory below one working directory, which is removed when everything is measured. A run soon after another one
  pays for the other one's removal: leave some minutes between them, or give ``--workdir`` on another file system.
- **Flushed before timing.** Each timed part begins with ``os.sync()``, so that the dirty pages of one are not charged
  to the next.
- **No verdict on time.** The goals stand beside the figures; nothing fails because a machine is slow. What does fail
  is a contestant that stored less than it was given.
"""
