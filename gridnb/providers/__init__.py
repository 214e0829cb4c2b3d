"""How a site starts and ends workers."""
