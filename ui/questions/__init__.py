"""Questions: what is asked about pruning in interviews and examinations, with answers and programs that run."""
