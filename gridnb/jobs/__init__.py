"""Jobs: work that runs at a site while the notebook goes on, and when it is gone."""
