"""Linli 邻里: the open back end for local services."""
