"""The Compare page: any two kept masks, plans or recovered models side by side."""
