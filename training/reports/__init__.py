"""What the model stages show in a report, a function a stage; their table names them."""
