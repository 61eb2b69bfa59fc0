"""Data sets as downloaded: a module each, whose ``find`` lists the subjects in a folder."""
