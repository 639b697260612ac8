"""Downloads: fetching a study's files, checking them, and taking members out of archives."""
