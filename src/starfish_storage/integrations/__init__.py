"""What puts this storage under other programs: one room each."""
