"""The report: one self-contained page made of the files that runs have written."""
