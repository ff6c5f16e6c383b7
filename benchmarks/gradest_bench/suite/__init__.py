"""What a suite says: its schema, the cells it names, and the objects behind their names. Imports no other wing."""
