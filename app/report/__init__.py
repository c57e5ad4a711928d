"""What was found, as a file to keep."""
