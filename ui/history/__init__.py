"""The history on the pages: what is recorded of finished work, and how it is shown."""
