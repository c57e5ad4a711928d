"""What the page can do, for programs: five named endpoints with typed answers."""
