"""Taking files, and the stores of other tools, into a store."""
