"""Work on other machines, or on a local set of processes: Dask's `distributed`, in the words of the other verbs."""
