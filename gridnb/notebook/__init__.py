"""The notebook: ``%grid``, ``%%grid``, the line under each cell, tables and completion."""
