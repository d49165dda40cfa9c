"""The parts of the data stages in a report, one function per stage; the stage tables name them."""
