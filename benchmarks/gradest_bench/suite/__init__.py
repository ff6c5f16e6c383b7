"""Reads what a suite says: its schema, the cells it names, the objects behind their names. Imports no other wing."""
