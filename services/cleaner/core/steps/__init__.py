"""The cleaner's steps, one file each; `services.cleaner.core.cleaning` runs them.

A step has `needs(joined)`, which says for a whole batch at once which documents may need it (it may say yes too often, never
too seldom), and a function of one text that returns the text it leaves and how many places it changed.
"""
