"""Who used what, and what it costs: intervals, rating, bill."""
