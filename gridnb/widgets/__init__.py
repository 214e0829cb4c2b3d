"""What a notebook shows: pieces of HTML, tables, and live widgets of a grid and its jobs."""
