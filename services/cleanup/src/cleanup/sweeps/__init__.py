"""The rules that delete objects, and the loop that runs them."""
