"""Pages for people who were not there: one file each, which loads nothing from anywhere."""
