"""Learn: twelve lessons, each with a prediction and a live experiment on the loaded model."""
