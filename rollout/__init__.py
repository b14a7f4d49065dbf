"""Roll a gateway's provider change out, watch it, and keep it or take it back."""
