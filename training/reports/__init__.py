"""What the training stages show in a report: one function for each stage, named by the stage table."""
