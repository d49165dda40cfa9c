"""Personal data in text: rules by kind, check digits, and the search over a column."""
