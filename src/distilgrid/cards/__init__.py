"""Cards in the Hugging Face format for models and data, and the licences of what a grid is made from."""
