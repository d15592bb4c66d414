"""The interface: the only place besides the pages that imports streamlit."""
