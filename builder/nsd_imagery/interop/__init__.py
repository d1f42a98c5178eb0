"""Files that other projects' code reads, written from a built folder; nothing here reads a file of theirs."""
