"""What the data stages show in a report, a function a stage; their tables name them."""
