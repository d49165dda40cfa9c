"""What tokens become: models, objectives, engines, the trainer, evaluation and export."""
