"""Pure values. Imports the standard library and phonenumberslite, nothing else; no I/O and no clock."""
