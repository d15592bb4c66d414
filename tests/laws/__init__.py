"""Laws: each is run over every model family of ``tests.families``, and over every criterion where it applies."""
