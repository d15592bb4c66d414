"""The page Data and model: bringing a table or a model of one's own, and seeing what becomes of it before its use."""
