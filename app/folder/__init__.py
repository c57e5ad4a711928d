"""The Folder tab: many pictures, both models, a table of what they said."""
