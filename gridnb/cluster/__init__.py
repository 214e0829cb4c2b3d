"""One Dask cluster over the sites."""
