"""Texts made from texts: more to train on, never to evaluate with."""
